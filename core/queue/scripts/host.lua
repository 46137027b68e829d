--[[ host: a hosted worker takes, keeps or gives up the MCP server of a pool: one of them runs it.
  KEYS  1 host:{P}
  ARGV  1 session   2 ttl ms; 0 = it gives it up
  Returns  1 it is this session's, or was; 0 it is another's
  Callers  hosted worker ]]
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return 1
