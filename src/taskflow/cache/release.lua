-- KEYS: entry and lease of each key, in turn. ARGV: token.
-- Gives up the leases that this caller still has. What an entry holds from before is older than what was not kept.
for i = 1, #KEYS, 2 do
  if redis.call('GET', KEYS[i + 1]) == ARGV[1] then
    redis.call('DEL', KEYS[i], KEYS[i + 1])
  end
end
return 0
