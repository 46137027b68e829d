--[[ announce: a worker says that it serves a member of a pool, by Redis's clock.
  KEYS  1 ws:{P}
  ARGV  1 llm id   2 JSON { sessionId, boot, slots, running, state }   3 ttl ms
  Callers  worker, relay ]]
local t = redis.call('TIME')
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000)) .. ' ' .. ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
