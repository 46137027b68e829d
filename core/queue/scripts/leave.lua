--[[ leave: drops a session's members from a pool, whoever of its boots announced them; or, told a nonce, marks as lost
  those that were announced for that stream: { ..., state: 'lost', was: what it was }. Whoever announces them again
  writes over that; a reader that knows no 'lost' takes it for nobody.
  KEYS  1 ws:{P}
  ARGV  1 session id   2 nonce ('' = any)   3 how many members there may be: where there are more, all go
  Callers  edge (goodbye), relay (a lost stream) ]]
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[3]) then return redis.call('UNLINK', KEYS[1]) end
local all = redis.call('HGETALL', KEYS[1])
local t = redis.call('TIME')
local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
local gone = 0
for i = 1, #all, 2 do
  local said = all[i + 1]
  if string.find(said, '"sessionId":"' .. ARGV[1] .. '"', 1, true)
    and (ARGV[2] == '' or string.find(said, '"nonce":"' .. ARGV[2] .. '"', 1, true)) then
    if ARGV[2] == '' then
      redis.call('HDEL', KEYS[1], all[i])
    elseif not string.find(said, '"state":"lost"', 1, true) then
      local lost = string.gsub(said, '"state":"(%a+)"', '"state":"lost","was":"%1"', 1)
      redis.call('HSET', KEYS[1], all[i], (string.gsub(lost, '^%d+', now, 1)))
    end
    gone = gone + 1
  end
end
return gone
