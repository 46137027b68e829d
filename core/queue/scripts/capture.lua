--[[ capture: what clients of a project asked, while somebody watches it. Ids are when the stream began, and a number that rises by one
  for each exchange, those too that an edge had no room for: whoever reads them sees how many are missing.
  KEYS  1 watch:<project>   2 cap:<project>
  ARGV  1 most entries   2 ttl ms   3 how many were dropped before   4… exchanges
  Returns  1 · 0 nobody watches, and nothing is kept
  Callers  edge ]]
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('DEL', KEYS[2])
  return 0
end
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
local began, n
if last[1] then
  began, n = string.match(last[1][1], '^(%d+)-(%d+)$')
else
  local t = redis.call('TIME')
  began, n = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000)), 0
end
n = tonumber(n) + tonumber(ARGV[3])
for at = 4, #ARGV do
  n = n + 1
  redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[1], began .. '-' .. string.format('%.0f', n), 'e', ARGV[at])
end
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 1
