-- Puts a fresh generation in force.
-- KEYS: pointer. ARGV: prefix, generation, position, lease ms.
redis.call('SET', ARGV[1] .. ARGV[2] .. ':p', ARGV[3], 'PX', 86400000)
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[4])
return 1
