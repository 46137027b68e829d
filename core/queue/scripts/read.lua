--[[ read: what a stream holds after a position, and no more than goes into a page. So whoever reads a long answer
  holds a page of it, not all.
  KEYS  1 t:{P}:T:s
  ARGV  1 id of the position   2 bytes of a page   3 '1' = the first entry in any case, however large it is
  Returns  {0 | the bytes of the next entry, which did not go into it, entry as XRANGE gives it …}
  Callers  edge ]]
local page = { 0 }
local after = ARGV[1]
local size = tonumber(ARGV[2])
local room = size
local count = 2
while true do
  local entries = redis.call('XRANGE', KEYS[1], '(' .. after, '+', 'COUNT', count)
  for _, entry in ipairs(entries) do
    local fields = entry[2]
    local bytes = 64 * (fields[1] == 'l' and tonumber(fields[4]) or 1)
    for _, text in ipairs(fields) do bytes = bytes + #text end
    room = room - bytes
    if room < 0 and (#page > 1 or ARGV[3] ~= '1') then
      page[1] = bytes
      return page
    end
    page[#page + 1] = entry
    after = entry[1]
  end
  if #entries < count then return page end
  -- What Redis copies here for nothing is no more than an entry or two: of a long answer each has half a page.
  local mean = (size - room) / (#page - 1)
  count = math.max(1, math.min(32, math.floor(room / mean)))
end
