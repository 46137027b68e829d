--[[ handback: the claim lets go of a task that nobody has seen anything of. The claim can speak no more; an
  edge or the scheduler gives the task a new epoch (which only Postgres may do) and requeues it.
  KEYS  1 t:{P}:T:m   2 run:{P}   3 back:{P}
  ARGV  1 claim   2 T   3 channel r:{P}:T   4 why (JSON, core/task/hand-back.ts)
  Returns  1 (also when handed back before) · -1 not the current claim, ended or closed · -3 shown: end it instead
  Callers  worker, relay ]]
--@tell
local m = redis.call('HMGET', KEYS[1], 'claim', 'state', 'shown', 'edge')
if m[1] ~= ARGV[1] then return -1 end
-- one that was broken off goes on
if m[2] ~= 'open' and m[2] ~= 'released' then return -1 end
if m[3] ~= '' then return -3 end
local t = redis.call('TIME')
redis.call('HSET', KEYS[1], 'state', 'released', 'why', ARGV[4])
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('ZADD', KEYS[3], t[1] * 1000 + math.floor(t[2] / 1000), ARGV[2])
tell(ARGV[3], m[4], 'back')
return 1
