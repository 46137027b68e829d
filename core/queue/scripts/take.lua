--[[ take: the next job of a member's queues, of the first of them first, and the claim of its task with it. What BullMQ's own
  script does for a job of ours, without what none of our queues has: delays, limits, events. A marker is laid down only where
  more waits. Sent again under the same token, by a connection that broke, it finds what it took, for as long as that is its own.
  Tasks of the member's own owner go before others' of the same priority: turn.lua and requeue.lua say in queue:own where
  those of each owner stand, and of what was brought in without them so many are looked at as may stand in front. What this
  member may not have is not its own.
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
-- what was added without a turn, or brought back to the head, is little, unless all of it is one owner's
local LOOK = 8
local LOOK_IN_LIST = 4
local PAGE = 8
-- own ones that run, or that this member may not have, are passed over; no owner has more of them
local MOST_PASSED = 1024
local BACKGROUND = 10 * 0x100000000
-- an answer that did not come is asked for again much sooner
local TOOK_MS = 5 * 60 * 1000
local function taskOf(job)
  return string.match(job, '^(.+)%-%d+$')
end
local function keyOf(pattern, task)
  return (string.gsub(pattern, '%*', (string.gsub(task, '%%', '%%%%')))) -- in the slot of the other keys
end
local function isOwn(job)
  local task = taskOf(job)
  if not task then return false end
  local m = redis.pcall('HMGET', keyOf(ARGV[9], task), 'owner', 'unfit', 'excluded', 'spared')
  if m.err or m[1] ~= ARGV[11] then return false end
  for at = 2, 3 do
    if m[at] and string.find(m[at], ARGV[4], 1, true) then return false end
  end
  if not m[4] or not string.find(m[4], ARGV[4], 1, true) then return true end
  local t = redis.call('TIME')
  return t[1] * 1000 >= (tonumber(string.match(m[4], '^%d+')) or 0)
end
local function placeOf(wait, prioritized, job)
  if redis.call('ZSCORE', prioritized, job) then return prioritized end
  local at = redis.pcall('LPOS', wait, job)
  -- a user that an edge of an earlier release made may not ask
  if type(at) == 'table' then return 'unknown' end
  return at and wait
end
-- the first of the owner's own of one priority, as queue:own says; what is over, and nobody has struck, goes
local function listedOwn(wait, prioritized, which)
  local own = string.gsub(wait, 'wait$', 'own')
  local jobs = string.sub(wait, 1, -5)
  local passed = 0
  repeat
    local entries = redis.pcall('ZRANGE', own, '[' .. ARGV[11] .. ' ' .. which, '(' .. ARGV[11] .. ' ' .. which .. '~', 'BYLEX',
      'LIMIT', passed, PAGE)
    if entries.err then return nil end
    for _, entry in ipairs(entries) do
      local job = string.match(entry, '%S+$')
      local place = placeOf(wait, prioritized, job)
      if place and place ~= 'unknown' and isOwn(job) then return job, place, entry end
      if place or redis.call('EXISTS', jobs .. job .. ':lock') == 1 then passed = passed + 1
      else redis.call('ZREM', own, entry) end
    end
  until #entries < PAGE or passed >= MOST_PASSED
end
-- the first of the owner's own with the priority of what goes next, and where it stands
local function ownOf(wait, prioritized, isBackground)
  if not isBackground then
    local listed = redis.call('LRANGE', wait, -LOOK_IN_LIST, -1) -- those that go next stand last
    for at = #listed, 1, -1 do
      if isOwn(listed[at]) then return listed[at], wait end
    end
  end
  local job, place, entry = listedOwn(wait, prioritized, isBackground and 'b' or 'a')
  if job then return job, place, entry end
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
  if ARGV[11] == '' then return job end
  if isOwn(job) then
    if not score then return job end
    local tag = tonumber(score)
    local entry = ARGV[11] .. ' ' .. (tag >= BACKGROUND and 'b' or 'a') .. string.format('%010.0f', tag % BACKGROUND) .. ' ' .. job
    if redis.pcall('ZREM', (string.gsub(wait, 'wait$', 'own')), entry) == 1 then return job, entry end
    return job
  end
  local own, from, entry = ownOf(wait, prioritized, score and tonumber(score) >= BACKGROUND)
  if not own then return job end
  if entry then redis.call('ZREM', (string.gsub(wait, 'wait$', 'own')), entry) end
  redis.call('LREM', active, 1, job)
  if score then redis.call('ZADD', prioritized, score, job) else redis.call('RPUSH', wait, job) end
  if from == wait then redis.call('LREM', wait, -1, own) else redis.call('ZREM', prioritized, own) end
  redis.call('LPUSH', active, own)
  return own, entry
end
local function answerOf(nth, job)
  local at = nth * 4 - 2
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
local queues = (#KEYS - 1) / 4
-- of this member alone; the session's, as a public llm has as many members as there are hosted workers
local took = string.gsub(KEYS[2], 'wait$', 'took:') .. ARGV[2]
if ARGV[1] ~= '' then
  local before = redis.pcall('GET', took)
  local token, nth, job = string.match(type(before) == 'string' and before or '', '^(%S+) (%d) (%S+)$')
  nth = tonumber(nth)
  if token == ARGV[7] and nth >= 1 and nth <= queues and redis.call('GET', ARGV[11 + nth] .. job .. ':lock') == ARGV[7] then
    return answerOf(nth, job)
  end
end
for nth = 1, queues do
  local at = nth * 4 - 2
  local job, entry = moved(KEYS[at], KEYS[at + 1], KEYS[at + 2])
  if job then
    local key = ARGV[11 + nth] .. job
    local t = redis.call('TIME')
    redis.call('SET', key .. ':lock', ARGV[7], 'PX', ARGV[8])
    -- one that is no job is not mended here: it is finished like any other
    redis.pcall('HSET', key, 'processedOn', string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000)), 'ats', 1)
    if entry then redis.pcall('HSET', key, 'own', entry) end -- for pass.lua
    if ARGV[1] ~= '' then redis.call('SET', took, ARGV[7] .. ' ' .. nth .. ' ' .. job, 'PX', TOOK_MS) end
    return answerOf(nth, job)
  end
end
return {}
