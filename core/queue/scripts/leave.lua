--[[ leave: drops a session's members from a pool, whoever of its boots announced them.
  KEYS  1 ws:{P}
  ARGV  1 session id
  Callers  edge (goodbye), worker (at its end) ]]
local all = redis.call('HGETALL', KEYS[1])
local gone = 0
for i = 1, #all, 2 do
  if string.find(all[i + 1], '"sessionId":"' .. ARGV[1] .. '"', 1, true) then
    redis.call('HDEL', KEYS[1], all[i])
    gone = gone + 1
  end
end
return gone
