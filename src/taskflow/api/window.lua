-- A fixed window. KEYS: the counter. ARGV: quota, window in s.
-- Answers {left, seconds to the reset}; left is -1 where the quota was used up before.
local count = redis.call('INCR', KEYS[1])
if count == 1 then
  redis.call('EXPIRE', KEYS[1], ARGV[2])
end
return { math.max(-1, ARGV[1] - count), redis.call('TTL', KEYS[1]) }
