-- A token bucket. KEYS: the bucket. ARGV: how many it holds, how many come back a second, how many are taken.
-- Answers {left, seconds until enough are there again}; left is -1 where they were not, and then none is taken.
local size, rate, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local held = redis.call('HMGET', KEYS[1], 'left', 'at')
local left = math.min(size, (tonumber(held[1]) or size) + (now - (tonumber(held[2]) or now)) * rate)
if left < cost then
  return { -1, math.ceil((cost - left) / rate) }
end
redis.call('HSET', KEYS[1], 'left', left - cost, 'at', now)
redis.call('EXPIRE', KEYS[1], math.ceil(size / rate) + 1)
return { math.floor(left - cost), math.ceil(1 / rate) }
