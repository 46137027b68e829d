--[[ close: cancel, expire or give up. Unless the task has ended, nobody may claim it or speak for it any more. Who
  waits is told the entry itself, unless it is larger than 64 KiB. Sent again, it does what is left to do where it was
  broken off; it does what is left of an end that was. A fence or stream that nobody of ours can have written is
  replaced: a session may write its own pool's.
  KEYS  1 t:{P}:T:m   2 t:{P}:T:s   3 t:{P}:T:in   4 run:{P}   5 back:{P}
        6 t:{P}:T:a   7 orphan:{P}
  ARGV  1 T   2 mode: 'cancel' | 'expire' (only if unclaimed) |
        'giveup' (only while handed back at the epoch of ARGV 6) |
        'orphan' (only if it is overdue: nobody waits for it any more)   3 outcome (JSON)   4 keep ms   5 channel r:{P}:T
  Returns  {'closed', session, boot, claim, job, queue suffix, llm, claimed at, shown claim} (also when it was closed before) ·
           {'ended'} · {'claimed'} expire or giveup came too late ·
           {'attached'} it is no orphan
  Callers  edge, scheduler ]]
--@tell
local isTorn = false
local m = redis.pcall('HMGET', KEYS[1], 'epoch', 'state', 'claim', 'seq', 'session', 'boot', 'job', 'q',
  'llm', 'claimedAt', 'shown', 'edge')
if m.err then
  if not string.find(m.err, 'WRONGTYPE', 1, true) then return m end
  isTorn = true
elseif m[1] or m[2] then
  for _, at in ipairs({ 1, 4 }) do
    if not m[at] or #m[at] > 15 or not string.find(m[at], '^%d+$') then isTorn = true end
  end
  for _, at in ipairs({ 2, 3, 5, 6, 7, 8, 9, 12 }) do
    if m[at] and #m[at] > 256 then isTorn = true end
  end
  if not m[2] or not m[3] then isTorn = true end
end
if isTorn then
  redis.call('DEL', KEYS[1])
  m = {}
end
if ARGV[2] == 'orphan' then
  local due = redis.call('ZSCORE', KEYS[7], ARGV[1])
  local t = redis.call('TIME')
  if m[2] == 'closed' or m[2] == 'ended' then
    redis.call('ZREM', KEYS[7], ARGV[1])
  elseif not due or tonumber(due) > t[1] * 1000 + math.floor(t[2] / 1000) then
    return { 'attached' }
  end
end
-- Not laid down yet, or lost with Redis: a closed fence in its place keeps an enqueue under way from opening it.
if not m[1] then
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[1], 'epoch', 0, 'state', 'open', 'claim', '', 'shown', '', 'job', '', 'q', '', 'seq', 0, 'bytes', 0)
  m = { '0', 'open', '', '0', '', '', '', '' }
end
if m[2] == 'ended' then return { 'ended' } end
local message = ''
local isAgain = m[2] == 'closed'
if not isAgain then
  if ARGV[2] == 'expire' and m[3] ~= '' then return { 'claimed' } end
  if ARGV[2] == 'giveup' and (m[2] ~= 'released' or m[1] ~= ARGV[6]) then return { 'claimed' } end
  local id = m[1] .. '-' .. string.format('%.0f', tonumber(m[4]) + 1)
  local entry = { 'x', ARGV[3] }
  if m[3] ~= '' then
    entry[3] = 'c'
    entry[4] = string.sub(redis.sha1hex(m[3]), 1, 10)
  end
  local added = redis.pcall('XADD', KEYS[2], id, unpack(entry))
  if added.err then
    local isBehind = string.find(added.err, 'equal or smaller', 1, true)
    if not isBehind and not string.find(added.err, 'WRONGTYPE', 1, true) then return added end
    local top = isBehind and redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
    local n = top and string.match(top[1], '^' .. m[1] .. '%-(%d+)$')
    if n and #n <= 15 and top[2][1] == 'e' and top[2][4] == m[3] and m[3] ~= '' then
      local t = redis.call('TIME')
      redis.call('ZADD', (string.gsub(KEYS[4], 'run:{', 'ended:{')), 'NX',
        string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000)), ARGV[1])
      redis.call('HSET', KEYS[1], 'state', 'ended', 'seq', n)
      redis.call('ZREM', KEYS[4], ARGV[1])
      redis.call('ZREM', KEYS[7], ARGV[1])
      tell(ARGV[5], m[12], '')
      return { 'ended' }
    elseif n and #n <= 15 and top[2][1] == 'x' then
      id, entry = top[1], top[2]
    else
      if n and #n <= 15 then id = m[1] .. '-' .. string.format('%.0f', tonumber(n) + 1)
      else redis.call('DEL', KEYS[2]) end
      redis.call('XADD', KEYS[2], id, unpack(entry))
    end
  end
  redis.call('HSET', KEYS[1], 'state', 'closed')
  if #entry[2] <= 65536 then message = cjson.encode({ id, entry }) end
end
-- a reason may quote what was asked, and the task is over
redis.call('HDEL', KEYS[1], 'why')
redis.call('DEL', KEYS[3], KEYS[6])
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('ZREM', KEYS[5], ARGV[1])
redis.call('ZREM', KEYS[7], ARGV[1])
if isAgain then
  redis.call('PEXPIRE', KEYS[1], ARGV[4], 'LT')
  redis.call('PEXPIRE', KEYS[2], ARGV[4], 'LT')
else
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
end
tell(ARGV[5], m[12], message)
return { 'closed', m[5] or '', m[6] or '', m[3] or '', m[7] or '', m[8] or '', m[9] or '', m[10] or '', m[11] or '' }
