--[[ read: what a stream holds after a position: at least one entry where there is one, and no further ones
  than go into a page. So whoever reads a long answer holds a page of it, not all.
  KEYS  1 t:{P}:T:s
  ARGV  1 id of the position   2 bytes of a page
  Returns  {1 there is more | 0, entry as XRANGE gives it …}
  Callers  edge ]]
local page = { 0 }
local after = ARGV[1]
local room = tonumber(ARGV[2])
while true do
  local entries = redis.call('XRANGE', KEYS[1], '(' .. after, '+', 'COUNT', 8)
  for _, entry in ipairs(entries) do
    local fields = entry[2]
    room = room - 64 * (fields[1] == 'l' and tonumber(fields[4]) or 1)
    for _, text in ipairs(fields) do room = room - #text end
    if room < 0 and #page > 1 then
      page[1] = 1
      return page
    end
    page[#page + 1] = entry
    after = entry[1]
  end
  if #entries < 8 then return page end
end
