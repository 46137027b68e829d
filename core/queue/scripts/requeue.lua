--[[ requeue: a task starts over under a new epoch, and its job goes back to the head of the queue: fence,
  claim, lock, list and marker in one step. Compares epoch and claim first; never when ended, closed or shown.
  Sent twice it changes nothing; one that was broken off goes on.
  KEYS  1 t:{P}:T:m   2 t:{P}:T:s   3 run:{P}   4 back:{P}
        5 queue:active   6 queue:wait   7 queue:prioritized   8 queue:marker   9 queue:<job>
        10 queue:<job>:lock   11 queue:stalled   12 queue:completed   13 queue:failed
  ARGV  1 T   2 epoch seen   3 claim seen ('' = none)   4 new epoch   5 job id   6 ttl ms   7 channel r:{P}:T
        8 llm ids that must not have it again, joined by commas
  Returns  'ok' · 'nojob' the fence is renewed, but the job is gone: enqueue it · 'absent' · 'closed' · 'shown' ·
           'moved' someone else was here first. With 'closed', 'shown' and 'moved' the fence learns at which epoch its
           row is now: it has not fallen behind
  Callers  edge (a handed back task), scheduler (reap, reconcile) ]]
--@tell
local m = redis.pcall('HMGET', KEYS[1], 'epoch', 'state', 'claim', 'shown', 'job', 'q', 'session', 'boot', 'llm', 'edge')
if m.err and not string.find(m.err, 'WRONGTYPE', 1, true) then return m end
-- one that nobody could have written is as good as none: enqueue.lua replaces it
if not m[1] or #m[1] > 15 or not string.find(m[1], '^%d+$') or not m[3] or not m[4] then return 'absent' end
for at = 2, 10 do
  if m[at] and #m[at] > 256 then return 'absent' end
end
local again = m[1] == ARGV[4] and m[3] == ''
if not again then
  if tonumber(m[1]) >= tonumber(ARGV[4]) then return 'moved' end
  local lost
  if m[1] ~= ARGV[2] or m[3] ~= ARGV[3] then lost = 'moved'
  elseif m[2] ~= 'open' and m[2] ~= 'released' then lost = 'closed'
  elseif m[4] ~= '' then lost = 'shown' end
  if lost then
    redis.call('HSET', KEYS[1], 'row', ARGV[4])
    return lost
  end
  -- from when on it is counted how often it comes back, by this clock alone
  if redis.call('HEXISTS', KEYS[1], 'since') == 0 then
    local t = redis.call('TIME')
    local now = t[1] * 1000 + math.floor(t[2] / 1000)
    redis.call('HSET', KEYS[1], 'since', string.format('%.0f', now) .. ' ' .. m[1])
  end
  redis.call('HSET', KEYS[1], 'epoch', ARGV[4], 'state', 'open', 'claim', '', 'seq', 0, 'bytes', 0,
    'excluded', ARGV[8])
  redis.call('HDEL', KEYS[1], 'row')
end
-- nobody has this epoch yet
redis.call('HDEL', KEYS[1], 'session', 'boot', 'llm', 'via', 'claimedAt', 'firstAt', 'deliveredAt', 'why', 'met')
redis.call('DEL', KEYS[2])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
tell(ARGV[7], m[10], 'requeued')
local job = redis.call('HMGET', KEYS[9], 'data', 'opts', 'ats')
if not job[1] and not job[2] then return 'nojob' end
redis.call('DEL', KEYS[10])
redis.call('SREM', KEYS[11], ARGV[5])
-- a kept entry of a finished list would one day take the renewed job with it
redis.call('ZREM', KEYS[12], ARGV[5])
redis.call('ZREM', KEYS[13], ARGV[5])
local wasTaken = redis.call('LREM', KEYS[5], 0, ARGV[5]) > 0
-- what a session made of it nobody could take: it is laid down anew
local isRead, opts = pcall(cjson.decode, job[2] or '')
if job[1] ~= '{"T":"' .. ARGV[1] .. '"}' or not isRead or type(opts) ~= 'table'
  or (job[3] and not string.find(job[3], '^%d%d?%d?%d?%d?%d?$')) then
  redis.call('LREM', KEYS[6], 0, ARGV[5])
  redis.call('ZREM', KEYS[7], ARGV[5])
  redis.call('DEL', KEYS[9])
  return 'nojob'
end
if wasTaken then
  local priority = tonumber(redis.call('HGET', KEYS[9], 'priority')) or 0
  local owner = redis.call('HGET', KEYS[1], 'owner')
  if owner and #owner <= 64 then -- before all of its owner's (turn.lua)
    local own = string.gsub(KEYS[6], 'wait$', 'own')
    redis.call('ZADD', own, 0, owner .. ' ' .. (priority >= 10 and 'b' or 'a') .. '0000000000 ' .. ARGV[5])
    redis.call('PEXPIRE', own, 24 * 3600 * 1000)
  end
  if priority >= 10 then -- an interactive one may carry less (core/queue/jobs/turns.ts)
    redis.call('ZADD', KEYS[7], priority * 0x100000000, ARGV[5])
  else
    redis.call('RPUSH', KEYS[6], ARGV[5])
  end
  redis.call('ZADD', KEYS[8], 0, '0')
  return 'ok'
end
if redis.call('LPOS', KEYS[6], ARGV[5]) or redis.call('ZSCORE', KEYS[7], ARGV[5]) then
  redis.call('ZADD', KEYS[8], 0, '0')
  return 'ok'
end
redis.call('DEL', KEYS[9])
return 'nojob'
