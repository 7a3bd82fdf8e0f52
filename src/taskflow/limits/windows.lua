-- Adds to the counters of several fixed windows, or to none. KEYS: the counters. ARGV: cost, then quota and seconds of each.
-- Returns {0, left, seconds to the reset} of the window with the least left, or {i, -1, seconds to the reset} if window i
-- has too little left.
local cost = tonumber(ARGV[1])
local counts = {}
for i, key in ipairs(KEYS) do
  counts[i] = tonumber(redis.call('GET', key) or '0')
  if counts[i] + cost > tonumber(ARGV[2 * i]) then
    return { i, -1, redis.call('TTL', key) }
  end
end
local left, reset
for i, key in ipairs(KEYS) do
  redis.call('INCRBY', key, cost)
  if redis.call('TTL', key) < 0 then
    redis.call('EXPIRE', key, ARGV[2 * i + 1])
  end
  local own = tonumber(ARGV[2 * i]) - counts[i] - cost
  if left == nil or own < left then
    left, reset = own, redis.call('TTL', key)
  end
end
return { 0, left, reset }
