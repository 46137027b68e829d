--[[ attach: somebody waits for a task, until the lease of the wait lapses; the edge sends it again every 3 s.
  The task is then an orphan no sooner than that, plus what its policy grants.
  KEYS  1 t:{P}:T:m   2 t:{P}:T:a   3 orphan:{P}
  ARGV  1 T   2 attachment   3 lease ms   4 grace ms   5 the edge, where it is the one that is told of the task by its
        channel of the pool: a fence that was lost and laid down anew does not know ('' = another)
  Returns  1 · 0 the task has ended or was closed: there is nothing to keep
  Callers  edge (waiters) ]]
local state, edge = unpack(redis.call('HMGET', KEYS[1], 'state', 'edge'))
if state == 'ended' or state == 'closed' then return 0 end
if state and ARGV[5] ~= '' and edge ~= ARGV[5] then redis.call('HSET', KEYS[1], 'edge', ARGV[5]) end
local t = redis.call('TIME')
local lapses = t[1] * 1000 + math.floor(t[2] / 1000) + tonumber(ARGV[3])
redis.call('ZADD', KEYS[2], string.format('%.0f', lapses), ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
redis.call('ZADD', KEYS[3], 'GT', string.format('%.0f', lapses + tonumber(ARGV[4])), ARGV[1])
return 1
