-- Releases the leases that this caller still holds. KEYS: entry and lease of each key, in turn. ARGV: lease token.
-- The entry is deleted too: it is older than the value that was too large to be stored.
for i = 1, #KEYS, 2 do
  if redis.call('GET', KEYS[i + 1]) == ARGV[1] then
    redis.call('DEL', KEYS[i], KEYS[i + 1])
  end
end
return 0
