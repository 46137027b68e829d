--[[ rest: which of many open tasks are not simply at rest: waiting in their queue, or running and heard of, in the epoch
  that their row is in. Changes nothing. What is told here is looked at closely (look.lua).
  KEYS  1 any key of the installation: the keys of the tasks begin as it does, in its slot
  ARGV  1 what they begin with; then of each task   P   T   its row's epoch   queue suffix ('' or '.L')
  Returns  the places of those, from 1
  Callers  scheduler (reconcile) ]]
local odd, long = {}, {}
-- a list of ours is short (core/queue/jobs/turns.ts): one that is not is not searched
local listed = function(queue, job)
  if long[queue] == nil then long[queue] = redis.call('LLEN', queue .. 'wait') > 2000 end
  return long[queue] or redis.call('LPOS', queue .. 'wait', job)
end
local rests = function(pool, task, epoch, suffix)
  local m = redis.call('HMGET', ARGV[1] .. 't:{' .. pool .. '}:' .. task .. ':m', 'state', 'epoch', 'claim', 'job', 'excluded')
  if m[1] ~= 'open' or m[2] ~= epoch then return false end
  if m[3] ~= '' then return redis.call('ZSCORE', ARGV[1] .. 'run:{' .. pool .. '}', task) end
  if m[5] and m[5] ~= '' then return false end
  local queue = ARGV[1] .. '{' .. pool .. '}' .. suffix .. ':'
  if not redis.call('ZSCORE', queue .. 'prioritized', m[4]) and not listed(queue, m[4]) then return false end
  -- what stands in its queue has not been taken; but a session may have taken its hash away
  return redis.call('EXISTS', queue .. m[4]) == 1
end
for i = 2, #ARGV, 4 do
  -- a key of another kind in one place, which a session can put there, is no matter of the others
  local isRead, isAtRest = pcall(rests, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
  if not (isRead and isAtRest) then odd[#odd + 1] = (i + 2) / 4 end
end
return odd
