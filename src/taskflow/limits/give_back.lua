-- Subtracts from window counters. KEYS: the counters. ARGV: how much. A counter whose window has ended is not recreated.
for _, key in ipairs(KEYS) do
  local count = tonumber(redis.call('GET', key) or '0')
  if count > 0 then
    redis.call('DECRBY', key, math.min(count, tonumber(ARGV[1])))
  end
end
return 0
