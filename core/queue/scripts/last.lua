--[[ last: the last entry of a task's stream; without its text, if that is large. Changes nothing.
  KEYS  1 t:{P}:T:s
  ARGV  1 the most bytes of its fields
  Returns  {} there is none · {id, fields} · {id, fields but for the text, bytes}
  Callers  edge, scheduler ]]
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if not last then return {} end
local bytes = 0
for _, field in ipairs(last[2]) do bytes = bytes + #field end
if bytes > tonumber(ARGV[1]) then
  last[2][2] = ''
  last[3] = bytes
end
return last
