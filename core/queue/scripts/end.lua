--[[ end: the claim's outcome, the last entry of the stream. Closes the fence for good. Who waits is told the entry
  itself, unless it is larger than 64 KiB.
  KEYS  1 t:{P}:T:m   2 t:{P}:T:s   3 t:{P}:T:in   4 run:{P}   5 ended:{P}
        6 t:{P}:T:a   7 orphan:{P}
  ARGV  1 claim   2 T   3 outcome (JSON)   4 keep ms   5 channel r:{P}:T
        6 how many events the claim has said ('' = not told)
  Returns  1 (also when this claim ended it before) · -1 not the current claim, or closed; or Redis has lost events of
           it: what is incomplete is not told as complete
  Callers  worker, relay, scheduler (reap: speaking for a dead worker) ]]
local m = redis.call('HMGET', KEYS[1], 'claim', 'state', 'epoch', 'seq', 'claimedAt', 'firstAt', 'session', 'llm',
  'bytes')
if m[1] ~= ARGV[1] then return -1 end
if m[2] == 'ended' then return 1 end
if m[2] ~= 'open' then return -1 end
if ARGV[6] ~= '' and ARGV[6] ~= m[4] then return -1 end
local t = redis.call('TIME')
local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
local seq = tonumber(m[4]) + 1
local id = m[3] .. '-' .. seq
local entry = { 'e', ARGV[3], 'c', m[1], 'at', now, 'claimedAt', m[5] or '', 'firstAt', m[6] or '',
  'session', m[7] or '', 'llm', m[8] or '', 'bytes', m[9] or '' }
redis.call('XADD', KEYS[2], id, unpack(entry))
redis.call('HSET', KEYS[1], 'state', 'ended', 'seq', seq)
redis.call('ZREM', KEYS[4], ARGV[2])
redis.call('ZADD', KEYS[5], now, ARGV[2])
redis.call('DEL', KEYS[3], KEYS[6])
redis.call('ZREM', KEYS[7], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
redis.call('SPUBLISH', ARGV[5], #ARGV[3] <= 65536 and cjson.encode({ id, entry }) or '')
return 1
