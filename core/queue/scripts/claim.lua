--[[ claim: one member takes a task; from here only this claim may speak for it.
  Sent twice with the same claim it answers the same.
  KEYS  1 t:{P}:T:m   2 t:{P}:T:in   3 run:{P}
  ARGV  1 claim   2 session   3 boot   4 llm id   5 T   6 job id   7 ttl ms   8 via: 'redis' | 'sse'
  Returns  {'ok', epoch, body, head} · {'absent'} no fence or body · {'stale'} another job carries the task ·
           {'closed'} ended, closed or handed back · {'taken'} ·
           {'unfit'} this llm cannot do it · {'excluded', how often such a member met it} it failed it before
  Callers  worker, relay ]]
local m = redis.call('HMGET', KEYS[1], 'epoch', 'state', 'claim', 'job', 'excluded', 'unfit')
if not m[1] then return { 'absent' } end
if m[2] ~= 'open' then return { 'closed' } end
if m[3] ~= '' and m[3] ~= ARGV[1] then return { 'taken' } end
if m[4] ~= ARGV[6] then return { 'stale' } end
if m[6] and string.find(m[6], ARGV[4], 1, true) then return { 'unfit' } end
if m[5] and string.find(m[5], ARGV[4], 1, true) then
  return { 'excluded', tostring(redis.call('HINCRBY', KEYS[1], 'met', 1)) }
end
local input = redis.call('HMGET', KEYS[2], 'body', 'head')
if not input[1] then return { 'absent' } end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if m[3] == '' then
  redis.call('HSET', KEYS[1], 'claim', ARGV[1], 'session', ARGV[2], 'boot', ARGV[3], 'llm', ARGV[4],
    'via', ARGV[8], 'claimedAt', string.format('%.0f', now))
end
redis.call('ZADD', KEYS[3], now, ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[7])
redis.call('PEXPIRE', KEYS[2], ARGV[7])
return { 'ok', m[1], input[1], input[2] }
