--[[ mend: takes away what stands at a key though it is of another kind than ours are: nobody who keeps to the rules wrote
  it, and what it stood in the place of is lost already. Sent twice it changes nothing.
  KEYS  any number, of one slot
  ARGV  of each the kind that it is of, as TYPE says it; 'number': a string that counts; 'meta': what BullMQ is told of a queue
  Returns  how many were taken away
  Callers  everybody who has met WRONGTYPE (core/queue/mend.ts) ]]
local gone = 0
local isNumber = function(text) return not text or (#text <= 15 and string.find(text, '^%d+$')) end
for at, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key).ok
  local ours = ARGV[at] == 'number' and 'string' or ARGV[at] == 'meta' and 'hash' or ARGV[at]
  local isOurs = kind == ours
  if isOurs and ARGV[at] == 'number' then isOurs = isNumber(redis.call('GET', key)) end
  if isOurs and ARGV[at] == 'meta' then isOurs = isNumber(redis.call('HGET', key, 'opts.maxLenEvents')) end
  if kind ~= 'none' and not isOurs then
    gone = gone + redis.call('DEL', key)
    if ARGV[at] == 'meta' then redis.call('HSET', key, 'opts.maxLenEvents', 0) end
  end
end
return gone
