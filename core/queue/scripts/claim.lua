--[[ claim: one member takes a task; from here only this claim may speak for it.
  Sent twice with the same claim it answers the same.
  Either of a job that is known, or of the one that was fetched just now under a token, before its name came back.
  KEYS  1 run:{P}   2 t:{P}:T:m   3 t:{P}:T:in   or   2 the queue's active list
  ARGV  1 claim   2 session   3 boot   4 llm id   5 ttl ms   6 via: 'redis' | 'sse'
        7 T   8 job id   or   7 token   8 what the keys of the queue's jobs begin with   9 t:{P}:*:m   10 t:{P}:*:in
  Returns  {'ok', epoch, body, head, bytes of a body that rests in Postgres, or ''} · {'absent'} no fence or body · {'stale'} another job carries the task ·
           {'closed'} ended, closed or handed back · {'taken'} ·
           {'unfit'} this llm cannot do it, or was put out (denied:{P}) · {'excluded', how often such a member met it} it failed it before, or
           leaves it to others for a moment ·
           {'held'} its session is to take nothing new (denied:{P}) ·
           {'none'} no job has that token
  Callers  worker, relay ]]
local fence, input, task, job = KEYS[2], KEYS[3], ARGV[7], ARGV[8]
if #KEYS == 2 then
  job = nil
  -- the newest stand first, so others' are passed over only where they came in between
  for _, id in ipairs(redis.call('LRANGE', KEYS[2], 0, 15)) do
    if redis.call('GET', ARGV[8] .. id .. ':lock') == ARGV[7] then job = id; break end
  end
  if not job then return { 'none' } end
  task = string.match(job, '^(.+)%-%d+$')
  fence = string.gsub(ARGV[9], '%*', task) -- in the slot of the other keys
  input = string.gsub(ARGV[10], '%*', task)
end
local m = redis.call('HMGET', fence, 'epoch', 'state', 'claim', 'job', 'excluded', 'unfit', 'spared')
if not m[1] then return { 'absent' } end
if m[2] ~= 'open' then return { 'closed' } end
if m[3] ~= '' and m[3] ~= ARGV[1] then return { 'taken' } end
if m[4] ~= job then return { 'stale' } end
if m[6] and string.find(m[6], ARGV[4], 1, true) then return { 'unfit' } end
local denied = string.gsub(KEYS[1], 'run:{', 'denied:{') -- in the slot of the other keys
local out = redis.call('HGET', denied, ARGV[4] .. ' ' .. ARGV[2])
if out == 'held' and m[3] == '' then return { 'held' } end
if out and out ~= 'held' then return { 'unfit' } end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local spares = m[7] and string.find(m[7], ARGV[4], 1, true) and now < (tonumber(string.match(m[7], '^%d+')) or 0)
if spares or (m[5] and string.find(m[5], ARGV[4], 1, true)) then
  local met = redis.pcall('HINCRBY', fence, 'met', 1)
  if type(met) == 'table' then -- no number was there
    redis.call('HSET', fence, 'met', 1)
    met = 1
  end
  return { 'excluded', tostring(math.max(1, met)) }
end
local asked = redis.call('HMGET', input, 'body', 'head', 'bytes')
if not asked[1] and not asked[3] then return { 'absent' } end
if m[3] == '' then
  redis.call('HSET', fence, 'claim', ARGV[1], 'session', ARGV[2], 'boot', ARGV[3], 'llm', ARGV[4],
    'via', ARGV[6], 'claimedAt', string.format('%.0f', now))
end
redis.call('ZADD', KEYS[1], now, task)
redis.call('PEXPIRE', fence, ARGV[5])
-- never sooner than whoever laid it down said: a requeue needs it
redis.call('PEXPIRE', input, ARGV[5], 'GT')
return { 'ok', m[1], asked[1] or '', asked[2], not asked[1] and asked[3] or '' }
