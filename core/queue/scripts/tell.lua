-- tells of a task: over its own channel, and to the edge that made it and waits, which its fence names, over that edge's
-- channel of the pool (core/queue/link/pool-channels.ts), with the task's name before it. Returns how many edges were told so.
local function tell(channel, edge, message, atEdge)
  local heard = 0
  if edge and edge ~= '' then
    local task = string.match(channel, '[^:]+$')
    heard = redis.call('SPUBLISH', string.sub(channel, 1, -#task - 1) .. edge, task .. '\n' .. (atEdge or message))
  end
  redis.call('SPUBLISH', channel, message)
  return heard
end
