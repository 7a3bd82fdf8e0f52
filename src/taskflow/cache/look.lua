-- KEYS: entry and lease of each key, in turn. ARGV: position wanted at least, token, lease in ms.
-- Answers, for each key: stamp and body, or the token of the lease: this caller's, or another's who had it first.
-- An entry of another run of the server (a restart with a dump) counts as none.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local answers = {}
for i = 1, #KEYS, 2 do
  local entry = redis.call('HMGET', KEYS[i], 'run', 'stamp', 'body')
  if entry[1] == run and tonumber(entry[2]) >= tonumber(ARGV[1]) then
    answers[#answers + 1] = { entry[2], entry[3] }
  else
    redis.call('SET', KEYS[i + 1], ARGV[2], 'NX', 'PX', ARGV[3])
    answers[#answers + 1] = redis.call('GET', KEYS[i + 1])
  end
end
return answers
