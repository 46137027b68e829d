--[[ share: an edge says what it has open of an owner's and what it would have, and takes as much of that as there is room for beside what
  other edges have. What an edge has not said again for as long as it lasts is there no more. Where others want, too, none grows beyond its
  part while another has less. By Redis's clock; what was said later than now, it was before the clock was set back.
  KEYS  1 share:<what>:<owner>
  ARGV  1 edge   2 has   3 wants, no less than it has   4 most at all edges together   5 ttl ms
  Returns  how many this edge may have from now on, and how many others have
  Callers  edge ]]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local has, wants, most, ttl = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local others, asking, poorest = 0, 1, most
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local had, wanted, at = string.match(all[i + 1], '^(%d+) (%d+) (%d+)$')
  if not had or math.abs(now - at) > ttl then
    redis.call('HDEL', KEYS[1], all[i])
  elseif all[i] ~= ARGV[1] then
    others = others + had
    if tonumber(wanted) > 0 then asking = asking + 1 end
    if tonumber(wanted) > tonumber(had) then poorest = math.min(poorest, tonumber(had)) end
  end
end
local may = math.min(wants, math.max(most - others, 0))
local part = math.max(1, math.floor(most / asking))
if poorest < part then may = math.min(may, part) end
local takes = math.max(has, may)
if wants == 0 then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%d %d %d', takes, wants, now))
  redis.call('PEXPIRE', KEYS[1], ttl)
end
return { may, others }
