-- Removes a chord's counters and marks it done, so that late copies of its parts change nothing.
--
-- KEYS  .c claim, then the counters to delete
-- ARGV  token, seconds to keep the mark
-- Returns 1, or 0 when the claim is not the caller's: then nothing is touched.
-- Source: celery/backends/redis.py, CHORD_CLEANUP_LUA.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
for i = 2, #KEYS do
  redis.call('DEL', KEYS[i])
end
redis.call('SET', KEYS[1], 'done', 'EX', ARGV[2])
return 1
