--[[ hold: takes or extends the lease of a session. One that names no stream leaves it to the stream that the same
  boot has open.
  KEYS  1 w:{W}:lease
  ARGV  1 boot   2 nonce of the stream ('' = none)   3 ttl ms
  Callers  edge (register, heartbeat), relay (a stream opens), worker ]]
if ARGV[2] == '' then
  local held = redis.call('GET', KEYS[1])
  if held and string.sub(held, 1, #ARGV[1] + 1) == ARGV[1] .. ' ' then
    return redis.call('PEXPIRE', KEYS[1], ARGV[3])
  end
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
else
  redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2], 'PX', ARGV[3])
end
return 1
