--[[ end: the claim's outcome, the last entry of the stream. Closes the fence for good. Who waits is told the entry
  itself, unless it is larger than 64 KiB. Sent again, it does what is left to do where it was broken off; the entry
  that is there then is the end. Events that emit.lua was broken off behind are counted.
  KEYS  1 t:{P}:T:m   2 t:{P}:T:s   3 t:{P}:T:in   4 run:{P}   5 ended:{P}
        6 t:{P}:T:a   7 orphan:{P}
  ARGV  1 claim   2 T   3 outcome (JSON)   4 keep ms   5 channel r:{P}:T
        6 how many events the claim has said ('' = not told)
  Returns  1 (also when this claim ended it before) · -1 not the current claim, or closed; or Redis has lost events of
           it: what is incomplete is not told as complete
  Callers  worker, relay, scheduler (reap: speaking for a dead worker) ]]
--@tell
local m = redis.pcall('HMGET', KEYS[1], 'claim', 'state', 'epoch', 'seq', 'claimedAt', 'firstAt', 'session', 'llm',
  'bytes', 'adding', 'edge')
if m.err and not string.find(m.err, 'WRONGTYPE', 1, true) then return m end
if m[1] ~= ARGV[1] then return -1 end
local isAgain = m[2] == 'ended'
if not isAgain and m[2] ~= 'open' then return -1 end
local seq = tonumber(m[4])
if not seq or seq % 1 ~= 0 or seq < 0 or seq > 1e15 then return -1 end
local t = redis.call('TIME')
local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
local entry = { 'e', ARGV[3], 'c', m[1], 'at', now, 'claimedAt', m[5] or '', 'firstAt', m[6] or '',
  'session', m[7] or '', 'llm', m[8] or '', 'bytes', m[9] or '' }
local message = ''
if not isAgain then
  if ARGV[6] ~= '' and ARGV[6] ~= m[4] then return -1 end
  local id = m[3] .. '-' .. string.format('%.0f', seq + 1)
  if m[10] ~= id then redis.call('HSET', KEYS[1], 'adding', id) end
  local added = redis.pcall('XADD', KEYS[2], id, unpack(entry))
  if added.err and m[10] ~= id then redis.call('HDEL', KEYS[1], 'adding') end
  local isBehind = added.err and string.find(added.err, 'equal or smaller', 1, true)
  if isBehind then
    local newest = redis.pcall('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
    local top = newest[1]
    local n = top and string.match(top[1], '^' .. m[3] .. '%-(%d+)$')
    if n and #n <= 15 and top[2][1] == 'e' and top[2][4] == m[1] then
      id, seq, entry, added = top[1], tonumber(n) - 1, top[2], top[1]
    elseif newest.err then
      -- a session's user may not read a stream: it is this claim's end only if the fence says that it was being added
      if m[10] ~= id then return ARGV[6] == '' and added or -1 end
      added = id
    elseif ARGV[6] ~= '' then
      return -1
    elseif n and #n <= 15 then
      seq = tonumber(n)
      id = m[3] .. '-' .. string.format('%.0f', seq + 1)
      added = redis.call('XADD', KEYS[2], id, unpack(entry))
    end
  end
  if added.err then
    if not isBehind and not string.find(added.err, 'WRONGTYPE', 1, true) then
      return string.find(added.err, 'nvalid stream ID', 1, true) and -1 or added
    end
    -- nobody of ours has written what is there: it is not told as complete, and any other end needs nothing of it
    if ARGV[6] ~= '' then return -1 end
    redis.call('DEL', KEYS[2])
    redis.call('XADD', KEYS[2], id, unpack(entry))
  end
  redis.call('HSET', KEYS[1], 'state', 'ended', 'seq', string.format('%.0f', seq + 1))
  if #entry[2] <= 65536 then message = cjson.encode({ id, entry }) end
end
redis.call('ZREM', KEYS[4], ARGV[2])
redis.call('ZADD', KEYS[5], now, ARGV[2])
redis.call('DEL', KEYS[3], KEYS[6])
redis.call('ZREM', KEYS[7], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
tell(ARGV[5], m[11], message)
return 1
