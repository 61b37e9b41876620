-- Return parked messages whose time has come to the head of their lists, and look for work.
-- KEYS 1 tq:delayed, 2 unacked, 3 unacked_index, 4.. lists that nobody waits at
-- ARGV 1 most messages to return
-- Returns {how many were returned, how many wait in those lists}
-- If the client dies half-way: the script ran as a whole or not at all.
-- @include dead.lua

local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', server_time(), 'LIMIT', 0, ARGV[1])
local moved = 0
-- A full server (maxmemory) lets a script grow only after its first write, so begin with one.
if #due > 0 then redis.pcall('ZREM', KEYS[1], '') end
-- The earliest goes last, to the very head.
for k = #due, 1, -1 do
  local tag, list = string.match(due[k], '^(%S+) (.*)$')
  local value = tag and redis.call('HGET', KEYS[2], tag)
  local raw = value and split_unacked(value)
  local answer = raw and redis.pcall('RPUSH', list, raw)
  -- A list of a wrong type keeps its messages parked until somebody repairs it.
  if not (type(answer) == 'table' and answer['err']) then
    redis.call('ZREM', KEYS[1], due[k])
    if value then
      redis.call('HDEL', KEYS[2], tag)
      redis.call('ZREM', KEYS[3], tag)
      moved = moved + 1
    end
  end
end
local waiting = 0
for k = 4, #KEYS do
  local length = redis.pcall('LLEN', KEYS[k])
  if type(length) == 'number' then waiting = waiting + length end
end
return {moved, waiting}
