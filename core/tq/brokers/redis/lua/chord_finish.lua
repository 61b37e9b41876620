-- Sends a chord's body, removes the counters and marks the chord done, so that late copies of its
-- parts change nothing. In one step: whoever sends and dies before the mark would have it sent twice.
--
-- KEYS  .c claim, four counters to delete, _kombu.binding_deadlines
-- ARGV  token, seconds to keep the mark, key prefix, separator, number of messages, then the
--       messages as publication.lua describes them
-- Returns 1, or 0 when the claim is not the caller's: then nothing is touched. An error NOTSENT when
-- a queue's key holds another type: the chord is not marked.
-- Source: celery/backends/redis.py, CHORD_CLEANUP_LUA.
-- @include publication.lua

if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
local at, err = 6, nil
for _ = 1, tonumber(ARGV[5]) do
  at, err = send_message(at, ARGV[3], ARGV[4], KEYS[6])
  if err then
    return redis.error_reply('NOTSENT ' .. err)
  end
end
for i = 2, 5 do
  redis.call('DEL', KEYS[i])
end
redis.call('SET', KEYS[1], 'done', 'EX', ARGV[2])
return 1
