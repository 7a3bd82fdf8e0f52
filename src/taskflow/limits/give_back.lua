-- KEYS: counters of windows. ARGV: how much each is counted down. One whose window has ended stays away.
for _, key in ipairs(KEYS) do
  local count = tonumber(redis.call('GET', key) or '0')
  if count > 0 then
    redis.call('DECRBY', key, math.min(count, tonumber(ARGV[1])))
  end
end
return 0
