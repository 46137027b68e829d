--[[ last: the last entry of a task's stream, if it is not large. Changes nothing.
  KEYS  1 t:{P}:T:s
  ARGV  1 the most bytes of its fields
  Returns  {} there is none · 'large' · {id, fields}
  Callers  scheduler (settle) ]]
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if not last then return {} end
local bytes = 0
for _, field in ipairs(last[2]) do bytes = bytes + #field end
if bytes > tonumber(ARGV[1]) then return 'large' end
return last
