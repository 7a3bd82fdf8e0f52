-- KEYS: entry and lease of each key, in turn. ARGV: position wanted at least, token, lease in ms.
-- Answers, for each key: the body, or 1 where this caller now holds the lease, or 0 where another does.
-- An entry of another run of the server (a restart with a dump) counts as none.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local answers = {}
for i = 1, #KEYS, 2 do
  local entry = redis.call('HMGET', KEYS[i], 'run', 'stamp', 'body')
  if entry[1] == run and tonumber(entry[2]) >= tonumber(ARGV[1]) then
    answers[#answers + 1] = { entry[2], entry[3] }
  elseif redis.call('SET', KEYS[i + 1], ARGV[2], 'NX', 'PX', ARGV[3]) then
    answers[#answers + 1] = 1
  else
    answers[#answers + 1] = 0
  end
end
return answers
