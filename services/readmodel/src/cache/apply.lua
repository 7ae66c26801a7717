-- Takes a timeline to a newer head, and its rows to what became of them. Rows are kept only where somebody has
-- warmed them.
-- KEYS: pointer. ARGV: prefix, generation, room, head, ttl ms, most rows, changed at, (seq, row)…
-- Answers -1 when the generation is not in force any more.
if redis.call('GET', KEYS[1]) ~= ARGV[2] then return -1 end
local base = ARGV[1] .. ARGV[2]
local head_key, rows, changed_key = base .. ':h:' .. ARGV[3], base .. ':t:' .. ARGV[3], base .. ':x:' .. ARGV[3]
local head, new_head = redis.call('GET', head_key), tonumber(ARGV[4])
local changed, new_changed = redis.call('GET', changed_key), tonumber(ARGV[7])
if new_changed > 0 and (not changed or tonumber(changed) < new_changed) then
  -- Who read the rows before this must not put them here after it.
  redis.call('SET', changed_key, ARGV[7], 'PX', ARGV[5])
end
local moves = new_head > 0 and not (head and tonumber(head) >= new_head)
local changes = new_changed > 0 and not (changed and tonumber(changed) >= new_changed)
if moves then redis.call('SET', head_key, ARGV[4], 'PX', ARGV[5]) end
if not head then
  redis.call('DEL', rows)
  return 0
end
if redis.call('EXISTS', rows) == 0 then return 0 end
for i = 8, #ARGV, 2 do
  local seq = tonumber(ARGV[i])
  if seq > tonumber(head) then
    if moves then
      redis.call('ZREMRANGEBYSCORE', rows, seq, seq)
      redis.call('ZADD', rows, ARGV[i], ARGV[i + 1])
    end
  elseif changes and redis.call('ZCOUNT', rows, seq, seq) > 0 then
    redis.call('ZREMRANGEBYSCORE', rows, seq, seq)
    redis.call('ZADD', rows, ARGV[i], ARGV[i + 1])
  end
end
local surplus = redis.call('ZCARD', rows) - 1 - tonumber(ARGV[6])
if surplus > 0 then
  redis.call('ZREMRANGEBYRANK', rows, 0, surplus)
  local first = redis.call('ZRANGE', rows, 0, 0, 'WITHSCORES')
  redis.call('ZADD', rows, string.format('%.0f', -tonumber(first[2]) - 1), '')
end
redis.call('PEXPIRE', rows, ARGV[5])
return 1
