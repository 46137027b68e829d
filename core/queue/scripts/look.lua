--[[ look: all that decides what an open task needs, of one instant: its fence, its last word, its place. Changes nothing.
  What a job is is read off its own keys: a list is not searched. How long ago it was taken is told by its lock, which
  Redis's own clock runs down.
  KEYS  1 t:{P}:T:m   2 t:{P}:T:s   3 run:{P}   4 queue:wait   5 queue:prioritized
  ARGV  1 T   2 what the key of a job of the queue begins with   3 life of a lock when a job is taken, ms
  Returns  {} no fence · {fence, as HGETALL gives it; the last entry of an ended or closed task's stream, or {};
           of a claim 'running' | 'unlisted', else of the job 'waiting' | 'gone' | ms since a member took it}
  Callers  scheduler (reconcile) ]]
local flat = redis.call('HGETALL', KEYS[1])
if #flat == 0 then return {} end
local m = {}
for i = 1, #flat, 2 do m[flat[i]] = flat[i + 1] end
if m.state == 'ended' or m.state == 'closed' then
  return { flat, redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1] or {}, '' }
end
if m.claim ~= '' then
  return { flat, {}, redis.call('ZSCORE', KEYS[3], ARGV[1]) and 'running' or 'unlisted' }
end
local job = ARGV[2] .. (m.job or '')
if redis.call('EXISTS', job) == 0 or redis.call('HEXISTS', job, 'finishedOn') == 1 then return { flat, {}, 'gone' } end
local left = redis.call('PTTL', job .. ':lock')
if left >= 0 then return { flat, {}, tostring(math.max(0, tonumber(ARGV[3]) - left)) } end
local waiting = redis.call('LLEN', KEYS[4]) + redis.call('ZCARD', KEYS[5])
return { flat, {}, waiting > 0 and 'waiting' or 'gone' }
