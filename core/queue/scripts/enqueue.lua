--[[ enqueue: lays down the body and the fence of a task for one epoch, before the BullMQ add; an interactive job that
  waits for no other owner's is added here, as BullMQ adds one.
  Never lowers an epoch, never opens a closed or ended fence; sent twice it changes nothing. The fence comes last but for
  what can be told again: one that was broken off before it does all once more. What nobody of ours can have written in
  the fence's place is none.
  It says with it what happens when nobody waits: with an attachment, its lease begins here; without one (Redis
  came back empty) those who wait have a lease's time to say so.
  KEYS  1 t:{P}:T:m   2 t:{P}:T:in   3 t:{P}:T:s   4 t:{P}:T:a   5 orphan:{P}
        6 queue:wait   7 queue:prioritized   8 turns:<queue>:<priority>
        and with a job:   9 queue:<job>   10 queue:marker   11 queue:meta
  ARGV  1 epoch   2 job id   3 queue suffix ('' or '.L')   4 ttl ms   5 body   6 head (JSON)
        7 T   8 policy ('cancel', 'grace:<s>', 'continue')   9 grace ms ('' = goes on without anybody)
        10 attachment ('' = none)   11 lease ms   12 llm ids that cannot do it, joined by commas
        13 the fence that this was decided by: '' = whatever is there · 'none' · '<epoch> <claim>'
        14 priority   15 least score of the background   16 bytes of a body that rests in Postgres ('' = it is here)
        17 llm ids that leave it to others for a moment, joined by commas   18 that moment in ms
        19 owner   20 ttl ms of turns   21 how many of one owner alone may wait without tags
        22 the edge that waits for it, as its channel of the pool is called ('' = none, or as the fence before said)
        and with a job:   23 its name   24 data (JSON)   25 options (JSON)
  Returns  1 laid down · 2 so too, and others of its priority wait: it is to take its turn · 0 was there ·
           3 laid down, or there, and the job stands in its queue ·
           -1 a newer epoch is there · -2 closed or ended ·
           -3 an older claim was shown: it may only end · -4 it is not the fence that this was decided by, which learns
           that its row is at this epoch now
  Callers  edge (submit), scheduler (reconcile) ]]
--@open
local fence = redis.pcall('HMGET', KEYS[1], 'epoch', 'state', 'shown', 'claim', 'job', 'q', 'session', 'boot', 'llm', 'seq', 'edge')
if fence.err then
  if not string.find(fence.err, 'WRONGTYPE', 1, true) then return fence end
  fence = {}
else
  -- as fenceSchema has it (core/queue/task/fence.ts)
  local isTorn = not (fence[1] and fence[2] and fence[3] and fence[4])
  for _, at in ipairs({ 1, 10 }) do
    if fence[at] and (#fence[at] > 15 or not string.find(fence[at], '^%d+$')) then isTorn = true end
  end
  for _, at in ipairs({ 2, 3, 4, 5, 6, 7, 8, 9, 11 }) do
    if fence[at] and #fence[at] > 256 then isTorn = true end
  end
  if isTorn then fence = {} end
end
-- The list comes last: one that was broken off before it does all of this once more.
local function queueUp()
  if ARGV[14] == 'background' then
    if redis.call('ZCOUNT', KEYS[7], ARGV[15], '+inf') > 0 then return 2 end
    redis.call('DEL', KEYS[8])
    return 1
  end
  local listed = redis.call('LLEN', KEYS[6])
  -- of one owner alone the jobs go in as they come; turn.lua gives them their tags when another owner's is there
  if listed >= tonumber(ARGV[21]) or redis.call('HGET', KEYS[8], 'alone') ~= ARGV[19] then
    if listed + redis.call('ZCOUNT', KEYS[7], '-inf', '(' .. ARGV[15]) > 0 then return 2 end
    redis.call('DEL', KEYS[8])
    redis.call('HSET', KEYS[8], 'alone', ARGV[19])
    redis.call('PEXPIRE', KEYS[8], ARGV[20])
  end
  if not ARGV[23] then return 1 end
  local t = redis.call('TIME')
  redis.call('DEL', KEYS[9])
  redis.call('HSET', KEYS[9], 'name', ARGV[23], 'data', ARGV[24], 'opts', ARGV[25], 'timestamp',
    string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000)), 'delay', 0, 'priority', 0)
  redis.call('HSETNX', KEYS[11], 'opts.maxLenEvents', 0)
  redis.call('ZADD', KEYS[10], 0, '0')
  redis.call('LPUSH', KEYS[6], ARGV[2])
  return 3
end
local epoch = tonumber(ARGV[1])
local seen = ARGV[13]
if fence[1] then
  local isSeen = seen == fence[1] .. ' ' .. fence[4]
  -- its end is lost, and nobody was shown anything of it
  local isLost = isSeen and fence[2] == 'ended' and fence[3] == '' and redis.call('EXISTS', KEYS[3]) == 0
  if fence[2] == 'closed' or (fence[2] == 'ended' and not isLost) then return -2 end
  local known = tonumber(fence[1])
  if known > epoch then return -1 end
  if known == epoch then
    redis.call('PEXPIRE', KEYS[1], ARGV[4], 'NX')
    if not ARGV[23] or fence[2] ~= 'open' or fence[4] ~= '' then return 0 end
    local job = redis.call('HMGET', KEYS[9], 'timestamp', 'finishedOn')
    if job[2] or (job[1] and (redis.call('LPOS', KEYS[6], ARGV[2]) or redis.call('ZSCORE', KEYS[7], ARGV[2])
      or redis.call('LPOS', (string.gsub(KEYS[6], 'wait$', 'active')), ARGV[2]))) then return 3 end
    return queueUp()
  end
  if fence[3] ~= '' then
    redis.call('HSET', KEYS[1], 'row', ARGV[1])
    return -3
  end
  if seen ~= '' and not isSeen then
    redis.call('HSET', KEYS[1], 'row', ARGV[1])
    return -4
  end
elseif seen ~= '' and seen ~= 'none' then
  return -4
end
layInput(KEYS[2], ARGV[4], ARGV[5], ARGV[6], ARGV[16])
redis.call('DEL', KEYS[3])
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if ARGV[9] ~= '' then
  local lapses = now + tonumber(ARGV[11])
  if ARGV[10] ~= '' then
    redis.call('ZADD', KEYS[4], string.format('%.0f', lapses), ARGV[10])
    redis.call('PEXPIRE', KEYS[4], ARGV[11])
  end
  -- who attached or left before this renewal knows better
  redis.call('ZADD', KEYS[5], 'NX', string.format('%.0f', lapses + tonumber(ARGV[9])), ARGV[7])
end
local edge = ARGV[22] ~= '' and ARGV[22] or fence[11]
local more = spare(edge and { 'edge', edge } or {}, ARGV[17], now, ARGV[18])
openFence(KEYS[1], ARGV[4], ARGV[1], ARGV[2], ARGV[3], ARGV[8], ARGV[12], ARGV[19], more)
return queueUp()
