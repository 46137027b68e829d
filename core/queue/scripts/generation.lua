--[[ generation: is this Redis the one that was last seen, and no older? The leader counts here several times a second:
  a count that fell, or another process behind the address, is a Redis that may have lost its last writes.
  KEYS  1 generation
  ARGV  1 'look' · 'tick' counts one further, if all is well · 'set' this Redis is trusted from now on
        2 look, tick: the least count that it must hold · set: the count
  Returns  {'same' | 'new' nobody has counted here yet | 'other' another process | 'older' it has gone back, count}
  Callers  scheduler (epoch); look: worker, relay ]]
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
if ARGV[1] == 'set' then
  redis.call('HSET', KEYS[1], 'run', run, 'n', ARGV[2])
  return { 'same', tonumber(ARGV[2]) }
end
local known = redis.call('HMGET', KEYS[1], 'run', 'n')
if not known[1] then return { 'new', 0 } end
local n = tonumber(known[2])
if known[1] ~= run then return { 'other', n } end
if n < tonumber(ARGV[2]) then return { 'older', n } end
if ARGV[1] == 'tick' then n = redis.call('HINCRBY', KEYS[1], 'n', 1) end
return { 'same', n }
