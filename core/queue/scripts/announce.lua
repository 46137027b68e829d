--[[ announce: a worker says that it serves a member of a pool, by Redis's clock. Whoever is new there clears away
  what workers left that died without a word.
  KEYS  1 ws:{P}
  ARGV  1 llm id, a space, session id   2 JSON { sessionId, boot, slots, running, state }   3 ttl ms
        4 how many members there may be: where there are more, all go, and who is there says so again
  Callers  worker, relay, edge (register) ]]
-- A Redis user that an edge of the release before made may not ask for the count: then it is as it was there.
local count = redis.pcall('HLEN', KEYS[1])
if type(count) == 'number' and count > tonumber(ARGV[4]) then redis.call('DEL', KEYS[1]) end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now) .. ' ' .. ARGV[2]) == 1 then
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    local at = tonumber(string.match(all[i + 1], '^(%d+) '))
    if not at or now - at > tonumber(ARGV[3]) then redis.call('HDEL', KEYS[1], all[i]) end
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
