--[[ unhold: a stream was lost: its lease ends, unless another stream or process holds the session by now.
  KEYS  1 w:{W}:lease
  ARGV  1 '<boot> <nonce>' of the stream
  Returns  1 it was held by that stream, or by nobody · 0
  Callers  relay ]]
local held = redis.call('GET', KEYS[1])
if not held then return 1 end
if held ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
