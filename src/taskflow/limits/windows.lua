-- Counters of fixed windows, all counted or none. KEYS: the counters. ARGV: cost, then quota and window in s of each.
-- Answers {0, left of the fullest, seconds to its reset}, or {i, -1, seconds to the reset} where the i-th is full.
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
