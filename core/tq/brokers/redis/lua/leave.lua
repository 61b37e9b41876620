-- End a consumer that holds nothing; one that still does expires at once instead.
-- KEYS 1 tq:consumers, 2 its tags, 3 its started, 4 its inboxes, 5 its info
-- ARGV 1 consumer id
-- Returns 1 when nothing is left of it, 0 when a reaper will take over the rest.
-- If the client dies half-way: the script ran as a whole or not at all.
if redis.call('EXISTS', KEYS[2], KEYS[3]) == 0 then
  redis.call('ZREM', KEYS[1], ARGV[1])
  redis.call('DEL', KEYS[4], KEYS[5])
  return 1
end
-- A full server (maxmemory) lets a script grow only after its first write, so begin with one.
redis.pcall('ZREM', KEYS[1], '')
redis.call('ZADD', KEYS[1], 'XX', 0, ARGV[1])
return 0
