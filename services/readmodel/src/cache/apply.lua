-- Takes a timeline to a newer head. Rows are kept only where somebody has warmed them.
-- KEYS: pointer. ARGV: prefix, generation, room, head, ttl ms, most rows, (seq, row)…
-- Answers -1 when the generation is not in force any more.
if redis.call('GET', KEYS[1]) ~= ARGV[2] then return -1 end
local base = ARGV[1] .. ARGV[2]
local head_key, rows = base .. ':h:' .. ARGV[3], base .. ':t:' .. ARGV[3]
local head = redis.call('GET', head_key)
if head and tonumber(head) >= tonumber(ARGV[4]) then return 0 end
redis.call('SET', head_key, ARGV[4], 'PX', ARGV[5])
if not head then
  redis.call('DEL', rows)
  return 0
end
if redis.call('EXISTS', rows) == 0 then return 0 end
for i = 7, #ARGV, 2 do
  if tonumber(ARGV[i]) > tonumber(head) then redis.call('ZADD', rows, ARGV[i], ARGV[i + 1]) end
end
local surplus = redis.call('ZCARD', rows) - 1 - tonumber(ARGV[6])
if surplus > 0 then
  redis.call('ZREMRANGEBYRANK', rows, 0, surplus)
  local first = redis.call('ZRANGE', rows, 0, 0, 'WITHSCORES')
  redis.call('ZADD', rows, string.format('%.0f', -tonumber(first[2]) - 1), '')
end
redis.call('PEXPIRE', rows, ARGV[5])
return 1
