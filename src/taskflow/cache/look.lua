-- Reads entries. KEYS: entry and lease of each key, in turn. ARGV: lowest position wanted, lease token, lease in ms, epoch.
-- Returns for each key stamp and body; or, on a miss, the token of the lease in force: this caller's, or that of an earlier one.
-- An entry that an earlier run of the Redis server wrote (restored from a dump), or one of another epoch, is a miss.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local answers = {}
for i = 1, #KEYS, 2 do
  local entry = redis.call('HMGET', KEYS[i], 'run', 'stamp', 'body', 'epoch')
  if entry[1] == run and entry[4] == ARGV[4] and tonumber(entry[2]) >= tonumber(ARGV[1]) then
    answers[#answers + 1] = { entry[2], entry[3] }
  else
    redis.call('SET', KEYS[i + 1], ARGV[2], 'NX', 'PX', ARGV[3])
    answers[#answers + 1] = redis.call('GET', KEYS[i + 1])
  end
end
return answers
