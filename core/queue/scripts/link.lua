--[[ link: keeps what a link led to, while there is room for it: of who read it, and in all. What lapses makes room; until
  then what has none is read anew. A link that is kept already has its room.
  KEYS  1 link:<project>:<hash>   2 text:<hash>   3 links:<user>   4 links
  ARGV  1 entry   2 text ('' = there is none)   3 ttl ms   4 its name in both lists   5 bytes
        6 most bytes of a user   7 most entries of a user   8 most bytes in all   9 most entries in all
  Returns  1 kept · 0 no room
  Callers  edge ]]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local name = ARGV[4] .. ' ' .. ARGV[5]
local function hasRoom(key, mostBytes, mostEntries)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now))
  if redis.call('ZSCORE', key, name) then return true end
  local kept = redis.call('ZRANGE', key, 0, -1)
  local bytes = tonumber(ARGV[5])
  for i = 1, #kept do bytes = bytes + tonumber(string.match(kept[i], ' (%d+)$')) end
  return #kept < tonumber(mostEntries) and bytes <= tonumber(mostBytes)
end
if not hasRoom(KEYS[3], ARGV[6], ARGV[7]) or not hasRoom(KEYS[4], ARGV[8], ARGV[9]) then return 0 end
local lapses = string.format('%.0f', now + tonumber(ARGV[3]))
for i = 3, 4 do
  redis.call('ZADD', KEYS[i], lapses, name)
  -- what lapses later keeps the list
  if redis.call('PTTL', KEYS[i]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[i], ARGV[3]) end
end
if ARGV[2] ~= '' then redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3]) end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return 1
