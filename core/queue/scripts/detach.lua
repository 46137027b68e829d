--[[ detach: somebody who waited for a task has gone. When nobody else waits, the task is overdue at the end of
  its grace; with none, now. Sent twice it does not move that instant.
  KEYS  1 t:{P}:T:m   2 t:{P}:T:a   3 orphan:{P}
  ARGV  1 T   2 attachment   3 grace ms   4 the edge, as attach.lua has it: nobody waits there any more
  Returns  'last' nobody waits any more · 'others' somebody does · 'over' the task has ended or was closed
  Callers  edge (waiters) ]]
local state, edge = unpack(redis.call('HMGET', KEYS[1], 'state', 'edge'))
if state == 'ended' or state == 'closed' then
  redis.call('DEL', KEYS[2])
  redis.call('ZREM', KEYS[3], ARGV[1])
  return 'over'
end
if edge and edge == ARGV[4] then redis.call('HDEL', KEYS[1], 'edge') end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now))
local top = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')
if top[1] then
  redis.call('ZADD', KEYS[3], string.format('%.0f', tonumber(top[2]) + tonumber(ARGV[3])), ARGV[1])
  return 'others'
end
redis.call('ZADD', KEYS[3], 'LT', string.format('%.0f', now + tonumber(ARGV[3])), ARGV[1])
return 'last'
