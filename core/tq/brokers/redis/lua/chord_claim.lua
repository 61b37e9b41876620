-- Extends a claim to dispatch a chord's body, or takes one that expired while the counters remain.
--
-- KEYS  .c claim, .s size
-- ARGV  token, seconds
-- Returns 1 when the claim is the caller's, else 0.
-- Source: celery/backends/redis.py, CHORD_CLAIM_EXTEND_LUA.
local owner = redis.call('GET', KEYS[1])
if owner == ARGV[1] then
  return redis.call('EXPIRE', KEYS[1], ARGV[2])
end
if not owner and redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
  return 1
end
return 0
