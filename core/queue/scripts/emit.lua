--[[ emit: appends events of the current claim to the task's stream, as one entry with the number of the last of
  them, and tells who waits. Events that are there already are passed over, so that a re-sent call adds nothing.
  Entry and message carry the tag of the claim, unless whoever laid the fence down knows none.
  The fence says first which entry is being added: one that is there already is taken for ours only if an earlier call
  said so and was broken off before the fence learnt of it. Any other is none of ours, and nothing is told as said.
  The first event of a claim pins it, where an edge hears of it whose caller waits: that edge shows it without asking.
  When the stream outgrows its cap its older half goes: a resume from there is 410.
  KEYS  1 t:{P}:T:m   2 t:{P}:T:s
  ARGV  1 claim   2 seq of the first event (0 = the next one)   3 ttl ms   4 cap in bytes   5 channel r:{P}:T
        6 how many events   7 the events, a line each
  Returns  1 · -1 not the current claim, or the task ended or was closed, or fence or stream are none of ours; or Redis
           has lost events of it (a restart, a failover): an answer with a hole is not gone on with
  Callers  worker, relay ]]
--@tell
local m = redis.pcall('HMGET', KEYS[1], 'claim', 'state', 'epoch', 'seq', 'bytes', 'v', 'adding',
  'told', 'toldAt', 'edge', 'shown', 'llm', 'claimedAt')
if m.err and not string.find(m.err, 'WRONGTYPE', 1, true) then return m end
if m[1] ~= ARGV[1] or m[2] ~= 'open' then return -1 end
local seq, held = tonumber(m[4]), tonumber(m[5])
if not seq or not held or seq % 1 ~= 0 or seq < 0 or seq > 1e15 then return -1 end
local first = tonumber(ARGV[2])
local tag = m[6] and string.sub(redis.sha1hex(ARGV[1]), 1, 10) -- as core/queue/task/attempt.ts makes it
if first == 0 then first = seq + 1 end
if first > seq + 1 then return -1 end
local last = first + tonumber(ARGV[6]) - 1
if last > seq then
  local text = ARGV[7]
  for _ = first, seq do text = string.sub(text, string.find(text, '\n', 1, true) + 1) end
  local id = m[3] .. '-' .. last
  local added
  if m[7] ~= id then redis.call('HSET', KEYS[1], 'adding', id) end
  if last == seq + 1 then
    if tag then added = redis.pcall('XADD', KEYS[2], id, 'd', text, 'c', tag)
    else added = redis.pcall('XADD', KEYS[2], id, 'd', text) end
  elseif tag then
    added = redis.pcall('XADD', KEYS[2], id, 'l', text, 'n', last - seq, 'c', tag)
  else
    added = redis.pcall('XADD', KEYS[2], id, 'l', text, 'n', last - seq)
  end
  if added.err then
    local isBehind = string.find(added.err, 'equal or smaller', 1, true)
    if not isBehind or m[7] ~= id then redis.call('HDEL', KEYS[1], 'adding') end
    if string.find(added.err, 'WRONGTYPE', 1, true) or string.find(added.err, 'nvalid stream ID', 1, true) then return -1 end
    if not isBehind then return added end
    -- its callers may not read a stream: what the fence says is all there is to tell by
    if m[7] ~= id then return -1 end
  end
  local bytes = held + #text + 32 * (last - seq)
  redis.call('HSET', KEYS[1], 'seq', last, 'bytes', bytes)
  if bytes > tonumber(ARGV[4]) then
    redis.call('XTRIM', KEYS[2], 'MAXLEN', math.floor(redis.call('XLEN', KEYS[2]) / 2))
    redis.call('HSET', KEYS[1], 'bytes', math.floor(bytes / 2))
  end
end
if first == 1 then
  local t = redis.call('TIME')
  redis.call('HSETNX', KEYS[1], 'firstAt', string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000)))
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
end
-- a longer one is not sent along, nor more than so much a second of a long answer: who waits reads it from the stream,
-- and what others wait for comes over the same line as this
local isTold = #ARGV[7] <= 65536
if isTold and held > 65536 then
  local second = redis.call('TIME')[1]
  local told = (m[9] == second and tonumber(m[8]) or 0) + #ARGV[7]
  redis.call('HSET', KEYS[1], 'told', told, 'toldAt', second)
  isTold = told <= 65536
end
if not isTold then
  tell(ARGV[5], m[10], '')
  return 1
end
local from = m[3] .. '-' .. first .. (tag and '-' .. tag or '')
-- what an edge is told it shows at once, to a caller who waits: that claim is pinned, as show.lua does it
if first == 1 and m[10] and m[10] ~= '' and m[11] == '' then
  redis.call('HSET', KEYS[1], 'shown', m[1])
  local pinned = from .. ' ' .. (m[12] or '') .. ' ' .. (m[13] or '') .. '\n' .. ARGV[7]
  if tell(ARGV[5], m[10], from .. '\n' .. ARGV[7], pinned) == 0 then redis.call('HSET', KEYS[1], 'shown', '') end
else
  tell(ARGV[5], m[10], from .. '\n' .. ARGV[7])
end
return 1
