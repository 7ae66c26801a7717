-- Keeps a scrap. ARGV: prefix, name, value, life in ms, most. All scraps stand in one list by their end.
local list = ARGV[1] .. 'all'
local key = ARGV[1] .. 's:' .. ARGV[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('SET', key, ARGV[3], 'PX', ARGV[4])
redis.call('ZADD', list, now + ARGV[4], key)
redis.call('ZREMRANGEBYSCORE', list, '-inf', now)
local over = redis.call('ZCARD', list) - ARGV[5]
if over > 0 then
    local gone = redis.call('ZPOPMIN', list, over)
    for i = 1, #gone, 2 do
        redis.call('DEL', gone[i])
    end
end
return 1
