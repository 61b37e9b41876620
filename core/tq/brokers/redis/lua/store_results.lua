-- Writes result records, keeps those that are SUCCESS already, and wakes who waits.
--
-- KEYS  one record each; the channel it is published on has the same name
-- ARGV  '1' to write whatever is there, else '0'; then per key: value, seconds to keep it (0: ever)
-- Returns the positions (from 1) of records whose state cannot be told here (compressed, or not
-- JSON as Celery and tq write it) and which were therefore left alone.
-- Each record is written and published in one step; when the client dies before the call nothing
-- was done, after it everything.
-- Source: PROTOCOL 9.1; celery/backends/base.py, `_store_result` (GET first), redis.py, `_set`.
local unknown = {}
local force = ARGV[1] == '1'
for i, key in ipairs(KEYS) do
  local value, ttl = ARGV[2 * i], tonumber(ARGV[2 * i + 1])
  local write = true
  if not force then
    local head = redis.call('GETRANGE', key, 0, 11)
    if head == '{"status": "' then
      write = redis.call('GETRANGE', key, 12, 19) ~= 'SUCCESS"'
    elseif head ~= '' then
      write = false
      unknown[#unknown + 1] = i
    end
  end
  if write then
    if ttl > 0 then
      redis.call('SETEX', key, ttl, value)
    else
      redis.call('SET', key, value)
    end
    redis.call('PUBLISH', key, value)
  end
end
return unknown
