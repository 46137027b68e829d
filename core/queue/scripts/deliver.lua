--[[ deliver: pins a claim before what was asked is handed to whoever does it, as an answer's first byte does (show.lua):
  what may have been done is never started over. Sent twice it changes nothing. When it was is kept for who watches.
  KEYS  1 t:{P}:T:m
  ARGV  1 claim
  Returns  1 (also when it was pinned before) · -1 not the current claim, or the task ended, was handed back or was closed
  Callers  worker, relay ]]
local m = redis.pcall('HMGET', KEYS[1], 'claim', 'shown', 'state')
if m.err and not string.find(m.err, 'WRONGTYPE', 1, true) then return m end
if m[1] ~= ARGV[1] or m[3] ~= 'open' then return -1 end
if m[2] ~= m[1] then
  local t = redis.call('TIME')
  local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
  redis.call('HSET', KEYS[1], 'shown', m[1], 'deliveredAt', now)
end
return 1
