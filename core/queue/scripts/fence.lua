--[[ fence: what is said in the fence of a task, of the fields that are asked for. One that is larger than any of ours is as
  good as not there. Changes nothing.
  KEYS  1 t:{P}:T:m
  ARGV  1 the most bytes of a value   2 … the fields
  Returns  {field, value …}
  Callers  edge, scheduler ]]
local most = tonumber(ARGV[1])
local m = redis.call('HMGET', KEYS[1], unpack(ARGV, 2))
local flat = {}
for i = 2, #ARGV do
  local value = m[i - 1]
  if value and #value <= most then
    flat[#flat + 1] = ARGV[i]
    flat[#flat + 1] = value
  end
end
return flat
