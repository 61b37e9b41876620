-- Take over what a dead consumer held.
-- KEYS 1 tq:consumers, 2 my tags, 3 their tags, 4 their started, 5 their inboxes, 6 unacked,
--      7 unacked_index, 8 tq:dead, 9 tq:dead:bytes, 10 their info
-- ARGV 1 their id, 2 the end of their lease as seen earlier, 3 most tags to take (up to 1000),
--      4 and 5 caps of the dead letters (count, bytes)
-- Returns {{tag, what unacked holds ...}, {started tag, what it held ...}}; {} when they live.
-- If the client dies half-way: the tags are in its own set, so its own reaper finds them; what had
-- started without a late acknowledgement is in the dead letters.
-- @include dead.lua

local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or score ~= ARGV[2] then return {} end
-- A full server (maxmemory) lets a script grow only after its first write, so begin with one.
redis.pcall('ZREM', KEYS[1], '')

local boxes = redis.call('HGETALL', KEYS[5])
for k = 1, #boxes, 2 do
  -- The inbox's right end is the oldest; it ends up rightmost, next to be taken.
  while redis.call('LMOVE', boxes[k], boxes[k + 1], 'LEFT', 'RIGHT') do end
end

local stamp = server_time()
local taken, lost = {}, {}
local tags = redis.call('SPOP', KEYS[3], ARGV[3])
if #tags > 0 then
  redis.call('SADD', KEYS[2], unpack(tags))
  local values = redis.call('HMGET', KEYS[6], unpack(tags))
  for k, tag in ipairs(tags) do
    redis.call('ZADD', KEYS[7], 'XX', stamp, tag)
    taken[#taken + 1] = tag
    taken[#taken + 1] = values[k] or ''
  end
end

local started = redis.call('HGETALL', KEYS[4])
for k = 1, #started, 2 do
  local raw, queue = split_unacked(started[k + 1])
  if raw then
    add_dead(KEYS[8], KEYS[9], tonumber(ARGV[4]), tonumber(ARGV[5]), 'worker_lost', queue, stamp, raw)
  end
  lost[#lost + 1] = started[k]
  lost[#lost + 1] = started[k + 1]
end
redis.call('DEL', KEYS[4])

if redis.call('SCARD', KEYS[3]) == 0 then
  redis.call('ZREM', KEYS[1], ARGV[1])
  redis.call('DEL', KEYS[10])
  -- Their inboxes' names stay for a day: one that only slept may go on, and die later.
end
return {taken, lost}
