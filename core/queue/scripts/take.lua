--[[ take: the next job of a member's queues, of the first of them first, and the claim of its task with it. What BullMQ's own
  script does for a job of ours, without what none of our queues has: delays, limits, events. A marker is laid down only where
  more waits. As BullMQ's it takes another one when it is sent again: what it took before is found by its lock.
  What stands in the way of the claim is not the job's fault: it is asked for by name then, under the same claim.
  KEYS  1 run:{P}, then of each queue   wait, active, prioritized, marker
  ARGV  1 claim ('' = the job alone)   2 session   3 boot   4 llm id   5 ttl ms   6 via: 'redis' | 'sse'
        7 the lock's token   8 how long it lives, ms   9 t:{P}:*:m   10 t:{P}:*:in
        then of each queue what the keys of its jobs begin with
  Returns  {} nothing waits · {the queue, from 1, job id, '1' = more waits in it | '0'}, and behind it what claim.lua answers
  Callers  worker, relay ]]
local function claim(KEYS, ARGV)
--@claim
end
local function moved(wait, active, prioritized)
  local job = redis.call('RPOPLPUSH', wait, active)
  if job then return job end
  job = redis.call('ZPOPMIN', prioritized)[1]
  if job then redis.call('LPUSH', active, job) end
  return job
end
for nth = 1, (#KEYS - 1) / 4 do
  local at = nth * 4 - 2
  local job = moved(KEYS[at], KEYS[at + 1], KEYS[at + 2])
  if job then
    local key = ARGV[10 + nth] .. job
    local t = redis.call('TIME')
    redis.call('SET', key .. ':lock', ARGV[7], 'PX', ARGV[8])
    -- one that is no job is not mended here: it is finished like any other
    redis.pcall('HSET', key, 'processedOn', string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000)), 'ats', 1)
    local more = redis.call('LLEN', KEYS[at]) + redis.call('ZCARD', KEYS[at + 2]) > 0
    if more then redis.call('ZADD', KEYS[at + 3], 0, '0') end
    local answer = { tostring(nth), job, more and '1' or '0' }
    local task = string.match(job, '^(.+)%-%d+$')
    if ARGV[1] == '' then return answer end
    if not task then
      answer[4] = 'absent'
      return answer
    end
    -- in the slot of the other keys
    local keys = { KEYS[1], (string.gsub(ARGV[9], '%*', (string.gsub(task, '%%', '%%%%')))),
      (string.gsub(ARGV[10], '%*', (string.gsub(task, '%%', '%%%%')))) }
    local isDecided, said = pcall(claim, keys, { ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], task, job })
    if isDecided then for _, word in ipairs(said) do answer[#answer + 1] = word end end
    return answer
  end
end
return {}
