-- Puts a timeline as read from Postgres, unless the cache knows of something newer.
-- KEYS: pointer. ARGV: prefix, generation, room, position read at, head, first complete sequence, ttl ms, (seq, row)…
-- A lost head key proves nothing, so without one only a reader at the cache's own position may put rows.
if redis.call('GET', KEYS[1]) ~= ARGV[2] then return -1 end
local base = ARGV[1] .. ARGV[2]
local position = redis.call('GET', base .. ':p')
if not position then return -1 end
local head_key, rows = base .. ':h:' .. ARGV[3], base .. ':t:' .. ARGV[3]
local head, changed = redis.call('GET', head_key), redis.call('GET', base .. ':x:' .. ARGV[3])
if changed and tonumber(changed) > tonumber(ARGV[4]) then return 0 end
if head then
  if tonumber(head) > tonumber(ARGV[4]) then return 0 end
  if redis.call('EXISTS', rows) == 1 then return 0 end
elseif tonumber(position) > tonumber(ARGV[4]) then
  return 0
end
redis.call('DEL', rows)
redis.call('SET', head_key, ARGV[5], 'PX', ARGV[7])
-- Changes up to the position that was read at are in these rows already.
redis.call('SET', base .. ':x:' .. ARGV[3], ARGV[4], 'PX', ARGV[7])
redis.call('ZADD', rows, string.format('%.0f', -tonumber(ARGV[6]) - 1), '')
for i = 8, #ARGV, 2 do redis.call('ZADD', rows, ARGV[i], ARGV[i + 1]) end
redis.call('PEXPIRE', rows, ARGV[7])
return 1
