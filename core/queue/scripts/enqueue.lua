--[[ enqueue: lays down the body and the fence of a task for one epoch, before the BullMQ add.
  Never lowers an epoch, never opens a closed or ended fence; sent twice it changes nothing.
  KEYS  1 t:{P}:T:m   2 t:{P}:T:in   3 t:{P}:T:s
  ARGV  1 epoch   2 job id   3 queue suffix ('' or '.L')   4 ttl ms   5 body   6 head (JSON)
  Returns  1 laid down · 0 was there · -1 a newer epoch is there · -2 closed or ended ·
           -3 an older claim was shown: it may only end
  Callers  edge (submit), scheduler (reconcile) ]]
local fence = redis.call('HMGET', KEYS[1], 'epoch', 'state', 'shown')
local epoch = tonumber(ARGV[1])
if fence[1] then
  if fence[2] == 'ended' or fence[2] == 'closed' then return -2 end
  local known = tonumber(fence[1])
  if known > epoch then return -1 end
  if known == epoch then return 0 end
  if fence[3] ~= '' then return -3 end
end
redis.call('DEL', KEYS[1], KEYS[3])
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'job', ARGV[2], 'q', ARGV[3], 'state', 'open', 'claim', '',
  'shown', '', 'seq', 0, 'bytes', 0)
redis.call('HSET', KEYS[2], 'body', ARGV[5], 'head', ARGV[6])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return 1
