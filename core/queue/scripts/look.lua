--[[ look: all that decides what an open task needs, of one instant: its fence, its last word, its place. Changes nothing.
  What a job is is read off its own keys, and a list is searched where it is short. How long ago it was taken is told by its lock, which
  Redis's own clock runs down.
  KEYS  1 t:{P}:T:m   2 t:{P}:T:s   3 run:{P}   4 queue:wait   5 queue:prioritized
  ARGV  1 T   2 what the key of a job of the queue begins with   3 life of a lock when a job is taken, ms
        4 the most bytes of the last entry   5 of a value of the fence   6 … its fields
  Returns  {} no fence · {fence, as fence.lua gives it; the last entry of an ended or closed task's stream, or {}, or
           'large';
           of a claim 'running' | 'unlisted', else of the job 'waiting' | 'gone', also where it stands in no list, as a
           script of BullMQ's that was broken off leaves it | ms since a member took it}
  Callers  scheduler (reconcile) ]]
local held = redis.call('HMGET', KEYS[1], unpack(ARGV, 6))
local flat, m = {}, {}
for i = 6, #ARGV do
  local value = held[i - 5]
  if value and #value <= tonumber(ARGV[5]) then
    flat[#flat + 1] = ARGV[i]
    flat[#flat + 1] = value
    m[ARGV[i]] = value
  end
end
if #flat == 0 then return {} end
if m.state == 'ended' or m.state == 'closed' then
  local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1] or {}
  local bytes = 0
  for _, field in ipairs(last[2] or {}) do bytes = bytes + #field end
  return { flat, bytes > tonumber(ARGV[4]) and 'large' or last, '' }
end
if m.claim ~= '' then
  return { flat, {}, redis.call('ZSCORE', KEYS[3], ARGV[1]) and 'running' or 'unlisted' }
end
m.job = m.job or ''
local job = ARGV[2] .. m.job
-- one that is no job is as good as gone: whoever brings it again puts it in its place
if redis.call('EXISTS', job) == 0 or redis.pcall('HEXISTS', job, 'finishedOn') ~= 0 then return { flat, {}, 'gone' } end
local left = redis.call('PTTL', job .. ':lock')
if left >= 0 then return { flat, {}, tostring(math.max(0, tonumber(ARGV[3]) - left)) } end
-- as in rest.lua; a longer list is not one of ours (core/queue/jobs/turns.ts)
local stands = redis.call('ZSCORE', KEYS[5], m.job) or redis.call('LLEN', KEYS[4]) > 2000
  or redis.call('LPOS', KEYS[4], m.job)
return { flat, {}, stands and 'waiting' or 'gone' }
