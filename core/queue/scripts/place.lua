--[[ place: where a task stands in its queue. Changes nothing.
  KEYS  1 t:{P}:T:m   2 queue:wait   3 queue:prioritized
  ARGV  1 how many of those that go next are looked at
  Returns  n: it is the nth to be taken · 0 not known: further back, delayed, or on its way between two lists ·
           -1 a member has it
  Callers  edge ]]
local m = redis.call('HMGET', KEYS[1], 'job', 'claim', 'state')
if not m[1] then return 0 end
if m[2] ~= '' and m[3] ~= 'released' then return -1 end
-- jobs come in on the left and are taken from the right; those with a priority wait until there is none
local waiting = redis.call('LLEN', KEYS[2])
local at = redis.call('LPOS', KEYS[2], m[1], 'RANK', -1, 'MAXLEN', ARGV[1])
if at then return waiting - at end
local rank = redis.call('ZRANK', KEYS[3], m[1])
if rank then return waiting + rank + 1 end
return 0
