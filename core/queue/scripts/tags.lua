-- what those share that give out turns: a tag, where it is written down, and which job has none any more.
-- a session may write anything there
local counted = function(text)
  local n = tonumber(text or 0)
  return n and n >= 0 and n < 1e9 and math.floor(n) or 0
end
-- how queue:own names a job, in the order of its owner's tags; the interactive ones have scores from 0 on
local function entryOf(owner, least, tag, job)
  return owner .. ' ' .. (least == 0 and 'a' or 'b') .. string.format('%010.0f', tag) .. ' ' .. job
end
-- strikes as many entries of jobs that are over, of those picked at random
local function strikeOver(own, many, queue)
  for _, entry in ipairs(redis.call('ZRANDMEMBER', own, many)) do
    local job = string.match(entry, '%S+$')
    if not redis.call('ZSCORE', queue .. 'prioritized', job) and not redis.call('LPOS', queue .. 'wait', job)
      and redis.call('EXISTS', queue .. job .. ':lock') == 0 then redis.call('ZREM', own, entry) end
  end
end
