-- Move deliveries to the dead letters.
-- KEYS 1 unacked, 2 unacked_index, 3 the consumer's tags, 4 tq:dead, 5 tq:dead:bytes
-- ARGV 1 and 2 caps (count, bytes), 3.. items of two: tag, reason
-- Returns how many were moved; tags that are no longer in unacked are only forgotten.
-- If the client dies half-way: the script ran as a whole or not at all.
-- @include dead.lua

local fault = dead_fault(KEYS[4], KEYS[5])
if fault then
  return redis.error_reply('WRONGTYPE the key ' .. fault .. ' holds another type than tq needs')
end
-- A full server (maxmemory) lets a script grow only after its first write, so begin with one.
redis.pcall('HDEL', KEYS[1], '')
local stamp, moved = server_time(), 0
for at = 3, #ARGV, 2 do
  local tag = ARGV[at]
  local value = redis.call('HGET', KEYS[1], tag)
  if value then
    local raw, queue = split_unacked(value)
    add_dead(KEYS[4], KEYS[5], tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[at + 1], queue or '""',
      stamp, raw or value)
    redis.call('HDEL', KEYS[1], tag)
    moved = moved + 1
  end
  redis.call('ZREM', KEYS[2], tag)
  redis.call('SREM', KEYS[3], tag)
end
return moved
