-- A token bucket. KEYS: the bucket. ARGV: how many it holds, how many come back a second.
-- Answers {left, seconds until one more is there}; left is -1 where it was empty.
local size, rate = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local held = redis.call('HMGET', KEYS[1], 'left', 'at')
local left = math.min(size, (tonumber(held[1]) or size) + (now - (tonumber(held[2]) or now)) * rate)
if left < 1 then
  return { -1, math.ceil((1 - left) / rate) }
end
redis.call('HSET', KEYS[1], 'left', left - 1, 'at', now)
redis.call('EXPIRE', KEYS[1], math.ceil(size / rate) + 1)
return { math.floor(left - 1), math.ceil(1 / rate) }
