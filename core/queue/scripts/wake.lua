--[[ wake: who wakes an llm holds this key meanwhile, and leaves in it why it did not work. By Redis's clock; only
  its holder changes it, but for a failure, which anybody may try to better. A failure is kept beside the next try,
  so that those who had waited for the one before learn of it.
  KEYS  1 wake:{L}
  ARGV  1 'hold', 'fail' or 'over'   2 who   3 ttl ms   4 hold: ms since it began · fail: the reason
  Returns  1 done · 0 somebody else wakes it
  Callers  worker, relay ]]
local known = redis.call('GET', KEYS[1])
local isRead, value = pcall(cjson.decode, known or '{}')
if not isRead or type(value) ~= 'table' then value = {} end -- nobody we know wrote it
if value.phase == 'waking' and value.by ~= ARGV[2] then return 0 end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if ARGV[1] == 'hold' then
  local held = { phase = 'waking', since = now - ARGV[4], by = ARGV[2] }
  if value.phase == 'waking' then held.since = value.since end
  held.failed = value.failed
  redis.call('SET', KEYS[1], cjson.encode(held), 'PX', ARGV[3])
elseif ARGV[1] == 'fail' then
  local failed = { reason = ARGV[4], at = now }
  redis.call('SET', KEYS[1], cjson.encode({ phase = 'failed', failed = failed }), 'PX', ARGV[3])
elseif known and value.phase == 'waking' then
  redis.call('DEL', KEYS[1])
end
return 1
