-- Moves the position of a generation, forgets names that changed, and holds the generation in force.
-- KEYS: pointer. ARGV: prefix, generation, position, lease ms, account…
if redis.call('GET', KEYS[1]) ~= ARGV[2] then return -1 end
local base = ARGV[1] .. ARGV[2]
redis.call('SET', base .. ':p', ARGV[3], 'PX', 86400000)
redis.call('PEXPIRE', KEYS[1], ARGV[4])
for i = 5, #ARGV do redis.call('DEL', base .. ':a:' .. ARGV[i]) end
return 1
