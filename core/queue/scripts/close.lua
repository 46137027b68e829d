--[[ close: cancel, expire or give up. Unless the task has ended, nobody may claim it or speak for it any more. Who
  waits is told the entry itself, unless it is larger than 64 KiB.
  KEYS  1 t:{P}:T:m   2 t:{P}:T:s   3 t:{P}:T:in   4 run:{P}   5 back:{P}
        6 t:{P}:T:a   7 orphan:{P}
  ARGV  1 T   2 mode: 'cancel' | 'expire' (only if unclaimed) |
        'giveup' (only while handed back at the epoch of ARGV 6) |
        'orphan' (only if it is overdue: nobody waits for it any more)   3 outcome (JSON)   4 keep ms   5 channel r:{P}:T
  Returns  {'closed', session, boot, claim, job, queue suffix, llm, claimed at} (also when it was closed before) ·
           {'ended'} · {'claimed'} expire or giveup came too late ·
           {'attached'} it is no orphan
  Callers  edge, scheduler ]]
if ARGV[2] == 'orphan' then
  local state = redis.call('HGET', KEYS[1], 'state')
  local due = redis.call('ZSCORE', KEYS[7], ARGV[1])
  local t = redis.call('TIME')
  if state == 'closed' or state == 'ended' then
    redis.call('ZREM', KEYS[7], ARGV[1])
  elseif not due or tonumber(due) > t[1] * 1000 + math.floor(t[2] / 1000) then
    return { 'attached' }
  end
end
local m = redis.call('HMGET', KEYS[1], 'epoch', 'state', 'claim', 'seq', 'session', 'boot', 'job', 'q',
  'llm', 'claimedAt')
-- Not laid down yet, or lost with Redis: a closed fence in its place keeps an enqueue under way from opening it.
if not m[1] then
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[1], 'epoch', 0, 'state', 'open', 'claim', '', 'shown', '', 'job', '', 'q', '', 'seq', 0, 'bytes', 0)
  m = { '0', 'open', '', '0', '', '', '', '' }
end
if m[2] == 'ended' then return { 'ended' } end
if m[2] ~= 'closed' then
  if ARGV[2] == 'expire' and m[3] ~= '' then return { 'claimed' } end
  if ARGV[2] == 'giveup' and (m[2] ~= 'released' or m[1] ~= ARGV[6]) then return { 'claimed' } end
  local id = m[1] .. '-' .. (tonumber(m[4]) + 1)
  local entry = { 'x', ARGV[3] }
  if m[3] ~= '' then
    entry[3] = 'c'
    entry[4] = string.sub(redis.sha1hex(m[3]), 1, 10)
  end
  redis.call('XADD', KEYS[2], id, unpack(entry))
  redis.call('HSET', KEYS[1], 'state', 'closed')
  -- a reason may quote what was asked, and the task is over
  redis.call('HDEL', KEYS[1], 'why')
  redis.call('DEL', KEYS[3], KEYS[6])
  redis.call('ZREM', KEYS[4], ARGV[1])
  redis.call('ZREM', KEYS[5], ARGV[1])
  redis.call('ZREM', KEYS[7], ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
  redis.call('SPUBLISH', ARGV[5], #ARGV[3] <= 65536 and cjson.encode({ id, entry }) or '')
end
return { 'closed', m[5] or '', m[6] or '', m[3] or '', m[7], m[8] or '', m[9] or '', m[10] or '' }
