--[[ watch: somebody watches a project for a while, or no longer. While one does, what its clients ask is captured (capture.lua),
  and each time all edges are told of it. By Redis's clock.
  KEYS  1 watchers   2 watch:<project>   3 cap:<project>
  ARGV  1 who: user, project, id, each behind a blank, and what is shown of them   2 ttl ms; 0 = no longer
        3 most of all   4 most of a user   5 channel   6 project   7 user
  Returns  1 done · 0 there are as many as may be, and nobody has more than this user would · -1 this user has as many as one may have
  Callers  edge ]]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local ttl = tonumber(ARGV[2])
local isNew = not redis.call('ZSCORE', KEYS[1], ARGV[1])
local theirs, others, all = 0, 0, 0
local counts, lastOf, most = {}, {}, nil
-- Those first who said so longest ago: of each user the last one in that order gives way.
for _, who in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local user, project = string.match(who, '^(%S+) (%S+) ')
  all = all + 1
  counts[user] = (counts[user] or 0) + 1
  lastOf[user] = who
  if not most or counts[user] > counts[most] then most = user end
  if who ~= ARGV[1] and user == ARGV[7] then theirs = theirs + 1 end
  if who ~= ARGV[1] and project == ARGV[6] then others = others + 1 end
end
if ttl == 0 then
  redis.call('ZREM', KEYS[1], ARGV[1])
  if others == 0 then redis.call('DEL', KEYS[2], KEYS[3]) end
  return 1
end
if isNew and theirs >= tonumber(ARGV[4]) then return -1 end
if isNew and all >= tonumber(ARGV[3]) then
  -- Who has most gives way to who has fewer, and only where they have fewer still with this one.
  if counts[most] <= theirs + 1 then return 0 end
  redis.call('ZREM', KEYS[1], lastOf[most])
end
redis.call('ZADD', KEYS[1], now + ttl, ARGV[1])
redis.call('PEXPIRE', KEYS[1], ttl)
redis.call('SET', KEYS[2], '1', 'PX', ttl)
redis.call('PEXPIRE', KEYS[3], ttl)
redis.call('SPUBLISH', ARGV[5], ARGV[6])
return 1
