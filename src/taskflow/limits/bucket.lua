-- Takes tokens from a token bucket. KEYS: the bucket. ARGV: its size, tokens gained a second, tokens to take.
-- Returns {left, seconds until the next token}; if there are too few tokens, takes none and returns
-- {-1, seconds until there are enough}.
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
