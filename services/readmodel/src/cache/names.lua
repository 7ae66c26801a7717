-- Names of accounts. KEYS: pointer. ARGV: prefix, account….
-- Answers nothing without a generation; otherwise generation, position, and a text or '' for each account.
local generation = redis.call('GET', KEYS[1])
if not generation then return {} end
local base = ARGV[1] .. generation
local position = redis.call('GET', base .. ':p')
if not position then return {} end
local answer = { generation, position }
for i = 2, #ARGV do answer[#answer + 1] = redis.call('GET', base .. ':a:' .. ARGV[i]) or '' end
return answer
