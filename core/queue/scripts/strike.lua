--[[ strike: settled tasks leave their pool's list of endings. What they have said stays for a moment only, where nobody can ask
  for it again.
  KEYS  1 ended:{P}, then the streams (t:{P}:T:s) of which nobody asks again
  ARGV  1 how long those stay, ms; then the tasks that were settled
  Returns  1
  Callers  edge ]]
if #ARGV > 1 then redis.call('ZREM', KEYS[1], unpack(ARGV, 2)) end
for at = 2, #KEYS do redis.call('PEXPIRE', KEYS[at], ARGV[1], 'LT') end
return 1
