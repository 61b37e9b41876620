-- Prove that a consumer lives: its lease, and the age of all it holds.
-- KEYS 1 tq:consumers, 2 unacked_index, 3 the consumer's tags, 4 its info, 5 its inboxes
-- ARGV 1 consumer id, 2 lease in seconds, 3 host, 4 pid, 5 seconds to keep the names of its inboxes,
--      6.. inbox and list of each queue, for whoever has to empty them one day
-- Returns {the consumer's tags, {consumer id, end of its lease ...} of those expired (up to 20),
--   the server's time}
-- If the client dies half-way: the lease lasts a little longer.
-- A full server (maxmemory) lets a script grow only after its first write, so begin with one.
redis.pcall('ZREM', KEYS[1], '')
local now = redis.call('TIME')
local seconds = tonumber(now[1]) + tonumber(now[2]) / 1000000
redis.call('ZADD', KEYS[1], string.format('%.6f', seconds + tonumber(ARGV[2])), ARGV[1])
redis.call('HSET', KEYS[4], 'host', ARGV[3], 'pid', ARGV[4], 'lease', ARGV[2])
redis.call('PEXPIRE', KEYS[4], math.floor(ARGV[2] * 1500))
if #ARGV > 5 then
  redis.call('HSET', KEYS[5], unpack(ARGV, 6))
  redis.call('EXPIRE', KEYS[5], ARGV[5])
end
local tags = redis.call('SMEMBERS', KEYS[3])
local stamp = string.format('%.6f', seconds)
for first = 1, #tags, 1000 do
  local scores = {}
  for k = first, math.min(first + 999, #tags) do
    scores[#scores + 1] = stamp
    scores[#scores + 1] = tags[k]
  end
  -- XX: what a peer restored meanwhile must not come back as an entry without a message.
  redis.call('ZADD', KEYS[2], 'XX', unpack(scores))
end
local expired = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', stamp, 'WITHSCORES', 'LIMIT', 0, 20)
return {tags, expired, stamp}
