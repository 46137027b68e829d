--[[ held: who of a pool is held. They may claim nothing while they stand here, who stood here and is free again may.
  KEYS  1 denied:{P}
  ARGV  1 ttl ms   2 how many members there may be: where more stand here, all go, and who was put out is so again within a second
        3… of each that is held: llm id, a space, session id
  Returns  those that were not here, and those that are no more
  Callers  scheduler ]]
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[2]) then redis.call('DEL', KEYS[1]) end
local stood, held, changed = redis.call('HGETALL', KEYS[1]), {}, {}
local values = {}
for i = 1, #stood, 2 do values[stood[i]] = stood[i + 1] end
for i = 3, #ARGV do
  held[ARGV[i]] = true
  -- who was put out stays so
  if not values[ARGV[i]] then
    redis.call('HSET', KEYS[1], ARGV[i], 'held')
    changed[#changed + 1] = ARGV[i]
  end
end
for field, value in pairs(values) do
  if value == 'held' and not held[field] then
    redis.call('HDEL', KEYS[1], field)
    changed[#changed + 1] = field
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return changed
