-- Counts one finished part of a chord's header, and claims the body's dispatch for the last one.
--
-- No script of its own: settle.lua includes it and counts with the ack and the result,
-- chord_count.lua alone.
--
-- count_chord_part(group_key, member, mark, score, ordered, chord_ttl, result_ttl, claim_ttl, token,
--                  is_dead)
--   group_key   celery-taskset-meta-<group id>, prefix included; five more keys are made of it:
--               .j parts, .t extra parts, .s size, .d marks of counted parts, .c claim
--   member      the encoded part: JSON [1, task id, state, result]
--   mark        <task id>:<score>; a part with a known mark is not counted again
--   score       the part's group index as text, or '+inf'
--   ordered     '1': .j is a sorted set; else a list
--   chord_ttl   seconds to keep the counters, text; '0' for ever
--   result_ttl  seconds to keep the group's record, text; '0' for ever
--   claim_ttl   seconds the claim is held, text
--   token       the claim, any text that nobody else uses
--   is_dead     function(owner): true when whoever holds a claim can no longer dispatch
-- Returns the token when this call completed the header and got the claim, else false.
--
-- If the client dies afterwards, the part that completed the header is delivered again (its message
-- is acknowledged after the body is sent): it is not counted again, but the count is compared again,
-- and the claim is taken over from the dead, or once it expired.
-- Keys that are made of an argument rather than passed: one server only, no Redis Cluster, which
-- kombu's transport does not support either.
-- Source: PROTOCOL 10; celery/backends/redis.py, CHORD_PART_RETURN_LUA (same keys, same order).
local function count_chord_part(group_key, member, mark, score, ordered, chord_ttl, result_ttl,
                                claim_ttl, token, is_dead)
  local parts, extra, size = group_key .. '.j', group_key .. '.t', group_key .. '.s'
  local marks, claim = group_key .. '.d', group_key .. '.c'
  if redis.call('GET', claim) == 'done' then
    return false
  end
  if redis.call('SADD', marks, mark) == 1 then
    if ordered == '1' then
      redis.call('ZADD', parts, score, member)
    else
      redis.call('RPUSH', parts, member)
    end
  end
  if tonumber(chord_ttl) > 0 then
    redis.call('EXPIRE', parts, chord_ttl)
    redis.call('EXPIRE', extra, chord_ttl)
    redis.call('EXPIRE', size, chord_ttl)
    redis.call('EXPIRE', marks, chord_ttl)
  end
  if tonumber(result_ttl) > 0 then
    redis.call('EXPIRE', group_key, result_ttl)
  end
  local expected = redis.call('GET', size)
  if not expected then
    return false
  end
  local count = ordered == '1' and redis.call('ZCARD', parts) or redis.call('LLEN', parts)
  if count ~= tonumber(expected) + tonumber(redis.call('GET', extra) or 0) then
    return false
  end
  if redis.call('SET', claim, token, 'NX', 'EX', claim_ttl) then
    return token
  end
  local owner = redis.call('GET', claim)
  if owner and owner ~= 'done' and is_dead(owner) then
    redis.call('SET', claim, token, 'EX', claim_ttl)
    return token
  end
  return false
end
