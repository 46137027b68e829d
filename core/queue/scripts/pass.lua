--[[ pass: a member puts back a job that it cannot do, at the end of its queue: a member that can meets it there, and
  what stands behind it is not held up. Only while the job is still with this member: its lock goes last, so that one that
  was broken off is gone on with.
  KEYS  1 queue:active   2 queue:wait   3 queue:prioritized   4 queue:marker   5 queue:pc   6 queue:stalled
        7 queue:<job>   8 queue:<job>:lock
  ARGV  1 job id   2 the lock's token
  Returns  1 put back · -1 it is not with this member any more
  Callers  worker, relay ]]
if redis.call('GET', KEYS[8]) ~= ARGV[2] then return -1 end
redis.call('SREM', KEYS[6], ARGV[1])
local isPut = redis.call('ZSCORE', KEYS[3], ARGV[1])
if redis.call('LREM', KEYS[2], 0, ARGV[1]) + redis.call('LREM', KEYS[1], 0, ARGV[1]) == 0 and not isPut then
  local job = redis.call('HMGET', KEYS[7], 'timestamp', 'finishedOn')
  if not job[1] or job[2] then
    redis.call('DEL', KEYS[8])
    return -1
  end
end
local priority = tonumber(redis.call('HGET', KEYS[7], 'priority')) or 0
local last = redis.call('ZREVRANGEBYSCORE', KEYS[3], '(' .. string.format('%.0f', 9 * 0x100000000), '0',
  'WITHSCORES', 'LIMIT', 0, 1)
if isPut then
  -- an earlier call was broken off behind this
elseif priority >= 10 then
  -- as BullMQ numbers those of one priority
  redis.call('ZADD', KEYS[3], priority * 0x100000000 + redis.call('INCR', KEYS[5]) % 0x100000000, ARGV[1])
elseif last[1] then
  -- behind the last that has its turn (core/queue/jobs/turns.ts)
  redis.call('ZADD', KEYS[3], string.format('%.0f', tonumber(last[2]) + 1), ARGV[1])
else
  redis.call('LPUSH', KEYS[2], ARGV[1])
end
-- another member of its owner's may be able to (take.lua)
local entry = redis.call('HGET', KEYS[7], 'own')
if entry and #entry <= 256 then redis.call('ZADD', (string.gsub(KEYS[2], 'wait$', 'own')), 0, entry) end
redis.call('ZADD', KEYS[4], 0, '0')
redis.call('DEL', KEYS[8])
return 1
