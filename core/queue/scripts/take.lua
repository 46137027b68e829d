--[[ take: the next job of a member's queues, of the first of them first, and the claim of its task with it. What BullMQ's own
  script does for a job of ours, without what none of our queues has: delays, limits, events. A marker is laid down only where
  more waits. As BullMQ's it takes another one when it is sent again: what it took before is found by its lock.
  Tasks of the member's own owner go before others' of the same priority, as far as LOOK of those that go next are looked at:
  with owners that take turns (turn.lua) the first of each is among as many as there are owners, twice over.
  What stands in the way of the claim is not the job's fault: it is asked for by name then, under the same claim.
  KEYS  1 run:{P}, then of each queue   wait, active, prioritized, marker
  ARGV  1 claim ('' = the job alone)   2 session   3 boot   4 llm id   5 ttl ms   6 via: 'redis' | 'sse'
        7 the lock's token   8 how long it lives, ms   9 t:{P}:*:m   10 t:{P}:*:in
        11 who owns the member ('' = nobody's tasks go first)
        then of each queue what the keys of its jobs begin with
  Returns  {} nothing waits · {the queue, from 1, job id, '1' = more waits in it | '0'}, and behind it what claim.lua answers
  Callers  worker, relay ]]
local function claim(KEYS, ARGV)
--@claim
end
local LOOK = 64
-- what was added without a turn, or brought back to the head, is little, unless all of it is one owner's
local LOOK_IN_LIST = 4
local BACKGROUND = 10 * 0x100000000
local function taskOf(job)
  return string.match(job, '^(.+)%-%d+$')
end
local function keyOf(pattern, task)
  return (string.gsub(pattern, '%*', (string.gsub(task, '%%', '%%%%')))) -- in the slot of the other keys
end
local function isOwn(job)
  local task = taskOf(job)
  return task and redis.pcall('HGET', keyOf(ARGV[9], task), 'owner') == ARGV[11]
end
-- the first of the owner's own with the priority of what goes next, and where it stands
local function ownOf(wait, prioritized, isBackground)
  if not isBackground then
    local listed = redis.call('LRANGE', wait, -LOOK_IN_LIST, -1) -- those that go next stand last
    for at = #listed, 1, -1 do
      if isOwn(listed[at]) then return listed[at], wait end
    end
  end
  local ranked = redis.call('ZRANGE', prioritized, 0, LOOK - 1, 'WITHSCORES')
  for at = 1, #ranked, 2 do
    if not isBackground and tonumber(ranked[at + 1]) >= BACKGROUND then return nil end
    if isOwn(ranked[at]) then return ranked[at], prioritized end
  end
end
local function moved(wait, active, prioritized)
  local job, score = redis.call('RPOPLPUSH', wait, active), nil
  if not job then
    job, score = unpack(redis.call('ZPOPMIN', prioritized))
    if not job then return nil end
    redis.call('LPUSH', active, job)
  end
  if ARGV[11] == '' or isOwn(job) then return job end
  local own, from = ownOf(wait, prioritized, score and tonumber(score) >= BACKGROUND)
  if not own then return job end
  redis.call('LREM', active, 1, job)
  if score then redis.call('ZADD', prioritized, score, job) else redis.call('RPUSH', wait, job) end
  if from == wait then redis.call('LREM', wait, -1, own) else redis.call('ZREM', prioritized, own) end
  redis.call('LPUSH', active, own)
  return own
end
for nth = 1, (#KEYS - 1) / 4 do
  local at = nth * 4 - 2
  local job = moved(KEYS[at], KEYS[at + 1], KEYS[at + 2])
  if job then
    local key = ARGV[11 + nth] .. job
    local t = redis.call('TIME')
    redis.call('SET', key .. ':lock', ARGV[7], 'PX', ARGV[8])
    -- one that is no job is not mended here: it is finished like any other
    redis.pcall('HSET', key, 'processedOn', string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000)), 'ats', 1)
    local more = redis.call('LLEN', KEYS[at]) + redis.call('ZCARD', KEYS[at + 2]) > 0
    if more then redis.call('ZADD', KEYS[at + 3], 0, '0') end
    local answer = { tostring(nth), job, more and '1' or '0' }
    if ARGV[1] == '' then return answer end
    local task = taskOf(job)
    if not task then
      answer[4] = 'absent'
      return answer
    end
    local keys = { KEYS[1], keyOf(ARGV[9], task), keyOf(ARGV[10], task) }
    local isDecided, said = pcall(claim, keys, { ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], task, job })
    if isDecided then for _, word in ipairs(said) do answer[#answer + 1] = word end end
    return answer
  end
end
return {}
