-- Rows of one timeline, or where a reader stands when they are not here.
-- KEYS: pointer. ARGV: prefix, room, "latest" | "before" | "after", bound, limit.
-- Answers nothing without a generation; generation, position on a miss;
-- generation, position, head, first complete sequence, rows… on a hit.
local generation = redis.call('GET', KEYS[1])
if not generation then return {} end
local base = ARGV[1] .. generation
local position = redis.call('GET', base .. ':p')
if not position then return {} end
local rows = base .. ':t:' .. ARGV[2]
local head = redis.call('GET', base .. ':h:' .. ARGV[2])
local mark = redis.call('ZRANGE', rows, 0, 0, 'WITHSCORES')
if not head or #mark == 0 or tonumber(mark[2]) >= 0 then return { generation, position } end
local answer = { generation, position, head, string.format('%.0f', -tonumber(mark[2]) - 1) }
local found
if ARGV[3] == 'after' then
  found = redis.call('ZRANGEBYSCORE', rows, '(' .. ARGV[4], '+inf', 'LIMIT', 0, ARGV[5])
elseif ARGV[3] == 'before' then
  found = redis.call('ZREVRANGEBYSCORE', rows, '(' .. ARGV[4], 0, 'LIMIT', 0, ARGV[5])
else
  found = redis.call('ZREVRANGEBYSCORE', rows, '+inf', 0, 'LIMIT', 0, ARGV[5])
end
for _, row in ipairs(found) do answer[#answer + 1] = row end
return answer
