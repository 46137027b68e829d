--[[ turn: gives a job that was just added its place among those of its priority, so that owners take turns: its tag is
  one more than the last of its owner's, and no less than that of what goes next. So an owner's jobs keep their order,
  and between two of them goes at most two of anybody else's. The tag is the job's score beyond the least of its
  priority; equal ones go by their ids, which are in the order of time.
  Interactive jobs of one owner alone stand in the list as they came, without tags (enqueue.lua), and get them here, but
  for the one that goes next, with the first job of another owner, or when they have become many.
  Where a job is given with it, it is added first, as BullMQ adds one: while its task waits, and if it is not there.
  With its tag it is entered in queue:own, by which take.lua finds the first of an owner's: "<owner> a<tag> <job>", of the background
  "<owner> b<tag> <job>". Nobody strikes what was taken there but who meets it, and here two of any, so that it stays short.
  Sent twice it changes nothing. A job that stands nowhere, as it, or BullMQ's own add, was broken off, counts as new.
  KEYS  1 queue:wait   2 queue:prioritized   3 queue:<job>   4 turns:<queue>:<priority>
        and with a job:   5 t:{P}:T:m   6 queue:marker   7 queue:meta
  ARGV  1 job id   2 owner   3 least score of the priority   4 end of its tags   5 ttl ms
        6 how many of one owner alone may wait without tags
        and with a job:   7 its name   8 data (JSON)   9 options (JSON)   10 priority
  Returns  1 it has its place · 0 it does not wait: not added yet, or taken
  Callers  edge, scheduler (enqueue) ]]
--@tags
local least = tonumber(ARGV[3])
local own = string.gsub(KEYS[1], 'wait$', 'own')
local jobs = string.sub(KEYS[3], 1, -#ARGV[1] - 1)
local function enter(owner, tag, job)
  redis.call('ZADD', own, 0, entryOf(owner, least, tag, job))
end
local had = redis.call('HGET', KEYS[3], 'turn')
if had then
  -- one that was broken off behind that has not said so to its owner's next
  if counted(redis.call('HGET', KEYS[4], ARGV[2])) < counted(had) and redis.call('ZSCORE', KEYS[2], ARGV[1]) then
    redis.call('HSET', KEYS[4], ARGV[2], had)
    redis.call('PEXPIRE', KEYS[4], ARGV[5])
  end
  return 1
end
local isNew = ARGV[7] and redis.call('EXISTS', KEYS[3]) == 0
if isNew then
  local m = redis.call('HMGET', KEYS[5], 'job', 'state', 'claim')
  if m[1] ~= ARGV[1] or m[2] ~= 'open' or m[3] ~= '' then return 0 end
  local t = redis.call('TIME')
  redis.call('HSET', KEYS[3], 'name', ARGV[7], 'data', ARGV[8], 'opts', ARGV[9], 'timestamp',
    string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000)), 'delay', 0, 'priority', ARGV[10])
  redis.call('HSETNX', KEYS[7], 'opts.maxLenEvents', 0)
  redis.call('ZADD', KEYS[6], 0, '0')
end
local alone = least == 0 and redis.call('HGET', KEYS[4], 'alone')
local stood = isNew and 1 or redis.call('ZREM', KEYS[2], ARGV[1])
if stood == 0 and not redis.call('LPOS', KEYS[1], ARGV[1]) then
  local job = redis.call('HMGET', KEYS[3], 'timestamp', 'finishedOn')
  local isNowhere = job[1] and not job[2] and redis.call('EXISTS', KEYS[3] .. ':lock') == 0
    and not redis.call('LPOS', (string.gsub(KEYS[1], 'wait$', 'active')), ARGV[1])
    and not redis.call('ZSCORE', (string.gsub(KEYS[1], 'wait$', 'delayed')), ARGV[1])
  if isNowhere then
    redis.call('ZADD', (string.gsub(KEYS[1], 'wait$', 'marker')), 0, '0')
    stood = 1
  end
end
if alone == ARGV[2] then
  local listed = redis.call('LLEN', KEYS[1])
  if stood == 1 and listed < tonumber(ARGV[6]) then
    redis.call('LPUSH', KEYS[1], ARGV[1])
    redis.call('HSET', KEYS[3], 'priority', 0, 'turn', 0)
    return 1
  end
  if stood == 0 and listed <= tonumber(ARGV[6]) then return redis.call('LPOS', KEYS[1], ARGV[1]) and 1 or 0 end
end
if least == 0 then
  if stood == 0 then stood = redis.call('LREM', KEYS[1], 1, ARGV[1]) end
  -- a requeue, and whoever puts it back, takes it to the head of all
  if redis.call('EXISTS', KEYS[3]) == 1 then redis.call('HSET', KEYS[3], 'priority', 0) end
end
if stood == 0 then return 0 end
-- one that is much longer than it may be is none of ours, and looking through it would hold up everybody
if alone and redis.call('LLEN', KEYS[1]) > 2 * tonumber(ARGV[6]) then
  redis.call('HDEL', KEYS[4], 'alone')
elseif alone then
  local before = redis.call('LRANGE', KEYS[1], 0, -2) -- the newest stand first
  for at, job in ipairs(before) do
    redis.call('ZADD', KEYS[2], #before - at + 1, job)
    enter(alone, #before - at + 1, job)
  end
  -- behind the cut nothing is left to count
  if #before > 0 then redis.call('HSET', KEYS[4], alone, #before) end
  redis.call('LTRIM', KEYS[1], -1, -1)
  redis.call('HSETNX', KEYS[4], alone, 0)
  redis.call('HDEL', KEYS[4], 'alone')
end
local head = redis.call('ZRANGEBYSCORE', KEYS[2], ARGV[3], '(' .. ARGV[4], 'WITHSCORES', 'LIMIT', 0, 1)
local past, last = 0, 0
if head[1] then
  local known = redis.call('HMGET', KEYS[4], 'past', ARGV[2])
  past = math.max(counted(known[1]), counted(tonumber(head[2]) - least - 1))
  last = counted(known[2])
else
  redis.call('DEL', KEYS[4]) -- all that had a tag were taken
end
local tag = string.format('%.0f', math.max(past, last) + 1)
redis.call('HSET', KEYS[4], 'past', string.format('%.0f', past))
redis.call('PEXPIRE', KEYS[4], ARGV[5])
redis.call('ZADD', KEYS[2], string.format('%.0f', least + tonumber(tag)), ARGV[1])
strikeOver(own, 2, jobs)
enter(ARGV[2], tonumber(tag), ARGV[1])
redis.call('PEXPIRE', own, ARGV[5])
redis.call('HSET', KEYS[3], 'turn', tag)
redis.call('HSET', KEYS[4], ARGV[2], tag)
return 1
