--[[ lay: what enqueue.lua and turn.lua do, for many tasks of one queue and priority that Redis has nothing of: their
  bodies and fences, and their jobs at their places. What is said of all of them is read and written once. A task that has a
  fence is left alone, and so are all turns where jobs stand that have none yet: those two scripts do it.
  The fence of each comes behind what it speaks of, and the jobs come last: one that was broken off leaves tasks
  for those two to go on with.
  KEYS  1 orphan:{P}   2 queue:wait   3 queue:prioritized   4 turns:<queue>:<priority>   5 queue:marker   6 queue:meta
        and of each task   t:{P}:T:m   t:{P}:T:in   t:{P}:T:s   queue:<job>
  ARGV  1 least score of the priority   2 end of its tags   3 ttl ms of turns   4 how many of one owner alone may wait without
        tags   5 queue suffix ('' or '.L')   6 priority of a job in the background, else 0   7 name of a job
        8 lease ms of those who may still say that they wait   9 '1' = all that are laid down now in this queue are of one owner
        and of each task   T   epoch   job id   ttl ms   body   head (JSON)   bytes of a body that rests in Postgres ('' = it is
        here)   policy   grace ms ('' = goes on without anybody)   llm ids that cannot do it   those that leave it to others
        for a moment   that moment in ms   owner   data of its job (JSON)   options (JSON)
  Returns  of each task: 1 it is laid down and has its place · 0 it is left to enqueue.lua and turn.lua
  Callers  scheduler (reconcile) ]]
--@open
--@tags
local SHARED, KEYS_EACH, ARGS_EACH = 9, 4, 15
local least = tonumber(ARGV[1])
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local at = string.format('%.0f', now)
local answers, laid, owners, known = {}, {}, {}, {}
for n = 0, (#KEYS - 6) / KEYS_EACH - 1 do
  local k, a = 6 + n * KEYS_EACH, SHARED + n * ARGS_EACH
  local fence, input, stream, job = KEYS[k + 1], KEYS[k + 2], KEYS[k + 3], KEYS[k + 4]
  answers[n + 1] = 0
  if redis.call('EXISTS', fence) == 0 then
    layInput(input, ARGV[a + 4], ARGV[a + 5], ARGV[a + 6], ARGV[a + 7])
    redis.call('DEL', stream, job)
    if ARGV[a + 9] ~= '' then
      redis.call('ZADD', KEYS[1], 'NX', string.format('%.0f', now + ARGV[8] + ARGV[a + 9]), ARGV[a + 1])
    end
    local owner = ARGV[a + 13]
    local more = spare({}, ARGV[a + 11], now, ARGV[a + 12])
    openFence(fence, ARGV[a + 4], ARGV[a + 2], ARGV[a + 3], ARGV[5], ARGV[a + 8], ARGV[a + 10], owner, more)
    laid[#laid + 1] = { n = n + 1, job = job, id = ARGV[a + 3], owner = owner, data = ARGV[a + 14], opts = ARGV[a + 15] }
    if not known[owner] then
      known[owner] = true
      owners[#owners + 1] = owner
    end
  end
end
if #laid == 0 then return answers end
local function add(one)
  redis.call('HSET', one.job, 'name', ARGV[7], 'data', one.data, 'opts', one.opts, 'timestamp', at, 'delay', 0, 'priority',
    ARGV[6])
end
-- last: what has its turn is taken to be in its place
local function done(one, tag)
  redis.call('HSET', one.job, 'turn', tag)
  answers[one.n] = 1
end
local function wake()
  redis.call('HSETNX', KEYS[6], 'opts.maxLenEvents', 0)
  redis.call('ZADD', KEYS[5], 0, '0')
end
local head = redis.call('ZRANGEBYSCORE', KEYS[3], ARGV[1], '(' .. ARGV[2], 'WITHSCORES', 'LIMIT', 0, 1)
if least == 0 then
  local listed, alone = redis.call('LLEN', KEYS[2]), redis.call('HGET', KEYS[4], 'alone')
  local isFree = listed == 0 and not head[1]
  if ARGV[9] == '1' and (isFree or alone == owners[1]) and listed + #laid <= tonumber(ARGV[4]) then
    if isFree then
      redis.call('DEL', KEYS[4])
      redis.call('HSET', KEYS[4], 'alone', owners[1])
      redis.call('PEXPIRE', KEYS[4], ARGV[3])
    end
    wake()
    for _, one in ipairs(laid) do
      add(one)
      redis.call('LPUSH', KEYS[2], one.id)
      done(one, 0)
    end
    return answers
  end
  if listed > 0 or (alone and not isFree) then return answers end
end
local own = string.gsub(KEYS[2], 'wait$', 'own')
-- Entries of what was taken stand in it only where it is longer than what waits; of those as many are struck as come.
if redis.call('ZCARD', own) > redis.call('ZCARD', KEYS[3]) then
  strikeOver(own, 2 * #laid, string.sub(laid[1].job, 1, -#laid[1].id - 1))
end
local past, last = 0, {}
if head[1] then
  local said = redis.call('HMGET', KEYS[4], 'past', unpack(owners))
  past = math.max(counted(said[1]), counted(tonumber(head[2]) - least - 1))
  for i, owner in ipairs(owners) do last[owner] = counted(said[i + 1]) end
else
  redis.call('DEL', KEYS[4]) -- all that had a tag were taken
end
local places, entries = {}, {}
for _, one in ipairs(laid) do
  local tag = math.max(past, last[one.owner] or 0) + 1
  last[one.owner] = tag
  one.tag = string.format('%.0f', tag)
  add(one)
  places[#places + 1] = string.format('%.0f', least + tag)
  places[#places + 1] = one.id
  entries[#entries + 1] = 0
  entries[#entries + 1] = entryOf(one.owner, least, tag, one.id)
end
local turns = { 'past', string.format('%.0f', past) }
for _, owner in ipairs(owners) do
  turns[#turns + 1] = owner
  turns[#turns + 1] = string.format('%.0f', last[owner])
end
redis.call('HSET', KEYS[4], unpack(turns))
redis.call('PEXPIRE', KEYS[4], ARGV[3])
redis.call('ZADD', KEYS[3], unpack(places))
redis.call('ZADD', own, unpack(entries))
redis.call('PEXPIRE', own, ARGV[3])
wake()
for _, one in ipairs(laid) do done(one, one.tag) end
return answers
