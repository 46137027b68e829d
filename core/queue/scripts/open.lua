-- lays down what is asked of a task, and then its open fence. The first write is one that a full Redis refuses: behind any that it does
-- not, it refuses none of a script. `bytes` of a body that rests in Postgres, '' = it is here.
local function layInput(input, ttl, body, head, bytes)
  if bytes == '' then
    redis.call('HSET', input, 'body', body, 'head', head)
    redis.call('HDEL', input, 'bytes')
  else
    redis.call('HSET', input, 'bytes', bytes, 'head', head)
    redis.call('HDEL', input, 'body')
  end
  redis.call('PEXPIRE', input, ttl)
end
-- `more`: further fields and their values. First what emit.lua looks at: a hash as small as this is looked through from its beginning.
local function openFence(fence, ttl, epoch, job, suffix, policy, unfit, owner, more)
  redis.call('DEL', fence)
  redis.call('HSET', fence, 'seq', 0, 'bytes', 0, 'state', 'open', 'claim', '', 'epoch', epoch, 'v', 2, 'job', job, 'q', suffix,
    'shown', '', 'policy', policy, 'unfit', unfit, 'owner', owner, unpack(more))
  redis.call('PEXPIRE', fence, ttl)
end
-- who leaves it to others for a moment, by their llm ids, as the fence says it
local function spare(more, llms, now, ms)
  if llms and llms ~= '' then
    more[#more + 1] = 'spared'
    more[#more + 1] = string.format('%.0f', now + tonumber(ms)) .. ' ' .. llms
  end
  return more
end
