-- Put deliveries back on their lists.
-- KEYS 1 unacked, 2 unacked_index, 3 the consumer's tags
-- ARGV items of four: tag, list, raw message ('' for what unacked holds), end (R next, L last)
-- Returns how many were put back; tags that are no longer in unacked are only forgotten.
-- If the client dies half-way: the script ran as a whole or not at all. A list of a wrong type
-- leaves its message unacked, and the error names it.
-- @include dead.lua

-- A full server (maxmemory) lets a script grow only after its first write, so begin with one.
redis.pcall('HDEL', KEYS[1], '')
local moved, err = 0, nil
for at = 1, #ARGV, 4 do
  local tag, list, raw = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local value = redis.call('HGET', KEYS[1], tag)
  local fault
  if value then
    if raw == '' then raw = split_unacked(value) end
    local push = ARGV[at + 3] == 'L' and 'LPUSH' or 'RPUSH'
    local answer = redis.pcall(push, list, raw)
    fault = type(answer) == 'table' and answer['err']
    if fault then
      err = err or 'WRONGTYPE the key ' .. list .. ' holds another type than tq needs'
    else
      redis.call('HDEL', KEYS[1], tag)
      moved = moved + 1
    end
  end
  if not fault then
    redis.call('ZREM', KEYS[2], tag)
    redis.call('SREM', KEYS[3], tag)
  end
end
if err then return redis.error_reply(err) end
return moved
