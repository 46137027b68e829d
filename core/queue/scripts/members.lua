--[[ members: who has been announced in a pool. A session's own user may write there what it likes, so what is more, or
  larger, than members are goes: whoever is there says so again within a second or two.
  KEYS  1 ws:{P}   2 epoch
  ARGV  1 how many members there may be   2 the most bytes that one says of itself, its name with it
  Returns  {TIME, epoch or '', field, value …}
  Callers  edge, scheduler ]]
local answer = { redis.call('TIME'), redis.call('GET', KEYS[2]) or '' }
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[1]) then
  redis.call('UNLINK', KEYS[1])
  return answer
end
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if #all[i] + #all[i + 1] > tonumber(ARGV[2]) then
    redis.call('HDEL', KEYS[1], all[i])
  else
    answer[#answer + 1] = all[i]
    answer[#answer + 1] = all[i + 1]
  end
end
return answer
