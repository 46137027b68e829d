--[[ subscribe: a stream of a user is to hear of a resource for a while, or no longer. By Redis's clock.
  KEYS  1 sub:<user>   2 subs   3 heard:{P} of the resource's server
  ARGV  1 who: stream, server, uri, each but the last before a blank   2 uri   3 ttl ms; 0 = no longer
        4 most of the stream   5 most of the user   6 most of all   7 most of the server   8 stream
        9 channel of the stream   10 most of the user at the server
  Returns  1 done · 0 there are as many as may be in all · -1 of this stream · -2 of this user · -3 of this server
           -4 of this user at this server
  Callers  edge ]]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local ttl = tonumber(ARGV[3])
local ofServer = string.match(ARGV[1], '^%S+( %S+ )')
if ttl == 0 then
  redis.call('ZREM', KEYS[1], ARGV[1])
  redis.call('ZREM', KEYS[2], ARGV[1])
  -- What nobody hears of any more is room for somebody else at once.
  local isHeard = false
  for _, who in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    if string.match(who, '^%S+( .*)$') == ofServer .. ARGV[2] then isHeard = true end
  end
  if not isHeard then redis.call('ZREM', KEYS[3], ARGV[2]) end
  redis.call('SPUBLISH', ARGV[9], '1')
  return 1
end
for _, key in ipairs(KEYS) do redis.call('ZREMRANGEBYSCORE', key, '-inf', now) end
local isNew = not redis.call('ZSCORE', KEYS[1], ARGV[1])
if isNew then
  local ofStream, there = 0, 0
  for _, who in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    local stream, server = string.match(who, '^(%S+)( %S+ )')
    if stream == ARGV[8] then ofStream = ofStream + 1 end
    if server == ofServer then there = there + 1 end
  end
  if ofStream >= tonumber(ARGV[4]) then return -1 end
  if there >= tonumber(ARGV[10]) then return -4 end
  if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[5]) then return -2 end
  if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[6]) then return 0 end
end
if not redis.call('ZSCORE', KEYS[3], ARGV[2]) and redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[7]) then return -3 end
redis.call('ZADD', KEYS[1], now + ttl, ARGV[1])
redis.call('ZADD', KEYS[2], now + ttl, ARGV[1])
redis.call('ZADD', KEYS[3], now + ttl, ARGV[2])
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ttl) end
if isNew then redis.call('SPUBLISH', ARGV[9], '1') end
return 1
