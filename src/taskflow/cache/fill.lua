-- Fills entries. KEYS: entry and lease of each key, in turn. ARGV: lease token, ttl in s, stamp, epoch, then a body for each key.
-- An entry whose lease has expired, was evicted or was deleted by an invalidation is not filled.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local filled = 0
for i = 1, #KEYS, 2 do
  if redis.call('GET', KEYS[i + 1]) == ARGV[1] then
    redis.call('HSET', KEYS[i], 'run', run, 'epoch', ARGV[4], 'stamp', ARGV[3], 'body', ARGV[4 + (i + 1) / 2])
    redis.call('EXPIRE', KEYS[i], ARGV[2])
    redis.call('DEL', KEYS[i + 1])
    filled = filled + 1
  end
end
return filled
