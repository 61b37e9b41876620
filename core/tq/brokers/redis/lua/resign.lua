-- Give the lead up, so that another beat need not wait for the lease to end.
-- KEYS 1 tq:lock:beat
-- ARGV 1 the lock's value as it was given to us
-- Returns 1 when it was ours.
-- If the client dies half-way: the script ran as a whole or not at all.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
