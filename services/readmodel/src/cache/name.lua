-- Puts names as read from Postgres, unless the cache is at a newer position.
-- KEYS: pointer. ARGV: prefix, generation, position read at, ttl ms, (account, text)…
if redis.call('GET', KEYS[1]) ~= ARGV[2] then return -1 end
local base = ARGV[1] .. ARGV[2]
local position = redis.call('GET', base .. ':p')
if not position or tonumber(position) > tonumber(ARGV[3]) then return 0 end
for i = 5, #ARGV, 2 do redis.call('SET', base .. ':a:' .. ARGV[i], ARGV[i + 1], 'PX', ARGV[4]) end
return 1
