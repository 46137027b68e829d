--[[ done: a member has finished a job: it goes to the completed ones, of which the board keeps the newest. What BullMQ's
  own script does for a job of ours, at a quarter of its time: nobody reads its events, so those that are there go, and
  nothing that a job names is followed (a session writes into its own pools' jobs). Only while the job is with this member: its lock goes
  last, so that one that was broken off is gone on with.
  KEYS  1 queue:active   2 queue:completed   3 queue:stalled   4 queue:<job>   5 queue:<job>:lock   6 queue:events
  ARGV  1 job id   2 the lock's token   3 how many completed jobs are kept   4 what the key of a job of this queue begins with
  Returns  1 it is done · -1 it is not with this member any more, or gone
  Callers  worker, relay ]]
if redis.call('GET', KEYS[5]) ~= ARGV[2] then return -1 end
-- The first write is one that a full Redis takes: behind it the others are taken, too, and what is done gives room.
redis.call('SREM', KEYS[3], ARGV[1])
local isThere = redis.call('EXISTS', KEYS[4]) == 1
if isThere then
  local t = redis.call('TIME')
  local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
  redis.call('HSET', KEYS[4], 'returnvalue', 'null', 'finishedOn', now, 'atm', 1)
  redis.call('ZADD', KEYS[2], now, ARGV[1])
end
redis.call('LREM', KEYS[1], -1, ARGV[1])
for _, id in ipairs(redis.call('ZREVRANGE', KEYS[2], ARGV[3], -1)) do
  redis.call('ZREM', KEYS[2], id)
  redis.call('DEL', ARGV[4] .. id, ARGV[4] .. id .. ':logs')
end
redis.call('XTRIM', KEYS[6], 'MAXLEN', '~', 0)
redis.call('DEL', KEYS[5])
return isThere and 1 or -1
