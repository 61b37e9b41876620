-- Hold deliveries back until a time; nobody owns them meanwhile.
-- KEYS 1 unacked, 2 unacked_index, 3 the consumer's tags, 4 tq:delayed
-- ARGV items of three: tag, timestamp, list to return to
-- Returns how many were parked.
-- If the client dies half-way: the script ran as a whole or not at all. Should no tq worker ever
-- come back, a kombu peer restores them a visibility timeout after their time.
local parked = 0
for at = 1, #ARGV, 3 do
  local tag, eta = ARGV[at], ARGV[at + 1]
  redis.call('SREM', KEYS[3], tag)
  if redis.call('HEXISTS', KEYS[1], tag) == 1 then
    redis.call('ZADD', KEYS[2], eta, tag)
    redis.call('ZADD', KEYS[4], eta, tag .. ' ' .. ARGV[at + 2])
    parked = parked + 1
  end
end
return parked
