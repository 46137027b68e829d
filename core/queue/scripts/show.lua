--[[ show: pins a claim before the first byte of its answer is written to a caller. From then on the task is
  never started over, and no other claim is ever shown.
  KEYS  1 t:{P}:T:m
  ARGV  1 epoch of the claim whose event is about to be written   2 its tag, as the event says it ('' = it does not)
  Returns  {1, llm id, when it was claimed} (also when it was pinned before) · {-1} that claim is not current, was
           handed back, or the task is closed · {-2} no fence
  Callers  edge ]]
local m = redis.call('HMGET', KEYS[1], 'epoch', 'claim', 'shown', 'state', 'llm', 'claimedAt')
if not m[1] then return { -2 } end
if m[1] ~= ARGV[1] or not m[2] or m[2] == '' then return { -1 } end
if ARGV[2] ~= '' and string.sub(redis.sha1hex(m[2]), 1, 10) ~= ARGV[2] then return { -1 } end
if m[3] ~= m[2] then
  if m[4] ~= 'open' and m[4] ~= 'ended' then return { -1 } end
  redis.call('HSET', KEYS[1], 'shown', m[2])
end
return { 1, m[5] or '', m[6] or '' }
