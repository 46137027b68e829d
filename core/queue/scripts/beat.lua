--[[ beat: the worker still runs this claim. Sent each second by its own run, stopped in that run's finally.
  KEYS  1 t:{P}:T:m   2 t:{P}:T:s   3 run:{P}
  ARGV  1 claim   2 T   3 ttl ms   4 for how long no other can come, ms: something large goes out behind this one
  Returns  1 · -1 not the current claim any more: abort now
  Callers  worker, relay ]]
local m = redis.call('HMGET', KEYS[1], 'claim', 'state')
if m[1] ~= ARGV[1] or m[2] ~= 'open' then return -1 end
local t = redis.call('TIME')
local ahead = math.min(tonumber(ARGV[4] or '0'), 60000)
redis.call('ZADD', KEYS[3], t[1] * 1000 + math.floor(t[2] / 1000) + ahead, ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return 1
