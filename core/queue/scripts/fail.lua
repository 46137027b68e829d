--[[ fail: the job of a task that has ended with an error, and that no worker will finish, is kept as failed with the
  code, for the board; without a code it goes for good, as one that BullMQ's own script was broken off with. First it is
  failed, then it goes from where it stood, whatever became of it before: sent again, it goes on where it was broken off.
  KEYS  1 queue:wait   2 queue:prioritized   3 queue:active   4 queue:failed   5 queue:stalled
        6 queue:<job>   7 queue:<job>:lock
  ARGV  1 job id   2 code ('' = none)   3 how many failed jobs are kept   4 what the key of a job of this queue begins with
  Returns  1 it is failed now · 0 it is gone, or was finished before
  Callers  edge, scheduler, worker, relay (what BullMQ could not finish) ]]
local was = redis.call('HMGET', KEYS[6], 'finishedOn', 'failedReason', 'timestamp')
local isMine = not was[1] and was[3] or was[1] and was[2] == ARGV[2]
if isMine and ARGV[2] ~= '' then
  local t = redis.call('TIME')
  local now = was[1] or string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
  if not was[1] then redis.call('HSET', KEYS[6], 'failedReason', ARGV[2], 'stacktrace', '[]', 'finishedOn', now) end
  redis.call('ZADD', KEYS[4], now, ARGV[1])
end
-- who has waited longest stands at the tail
redis.call('LREM', KEYS[1], -1, ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('LREM', KEYS[3], 0, ARGV[1])
redis.call('SREM', KEYS[5], ARGV[1])
redis.call('DEL', KEYS[7])
if not isMine then return 0 end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[6])
  return 1
end
-- as BullMQ itself keeps the newest
for _, id in ipairs(redis.call('ZREVRANGE', KEYS[4], ARGV[3], -1)) do
  redis.call('ZREM', KEYS[4], id)
  redis.call('DEL', ARGV[4] .. id, ARGV[4] .. id .. ':logs')
end
return 1
