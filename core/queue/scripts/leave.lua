--[[ leave: drops a session's members from a pool, whoever of its boots announced them; or, told a nonce, only those
  that were announced for that stream.
  KEYS  1 ws:{P}
  ARGV  1 session id   2 nonce ('' = any)
  Callers  edge (goodbye), relay (a lost stream), worker (at its end) ]]
local all = redis.call('HGETALL', KEYS[1])
local gone = 0
for i = 1, #all, 2 do
  local said = all[i + 1]
  if string.find(said, '"sessionId":"' .. ARGV[1] .. '"', 1, true)
    and (ARGV[2] == '' or string.find(said, '"nonce":"' .. ARGV[2] .. '"', 1, true)) then
    redis.call('HDEL', KEYS[1], all[i])
    gone = gone + 1
  end
end
return gone
