-- Included by other scripts: dead letters.
-- An entry is one line of JSON {reason, queue, timestamp, size} followed by the raw bytes.

-- Returns the name of a key of the wrong type, or nil when both can be written.
local function dead_fault(dead, counter)
  local kind = redis.call('TYPE', dead)['ok']
  if kind ~= 'none' and kind ~= 'list' then return dead end
  kind = redis.call('TYPE', counter)['ok']
  if kind ~= 'none' and kind ~= 'string' then return counter end
  return nil
end

-- Adds an entry and drops the oldest ones beyond either cap; the newest always stays.
local function add_dead(dead, counter, max_count, max_bytes, reason, queue_json, stamp, raw)
  local entry = '{"reason":"' .. reason .. '","queue":' .. queue_json .. ',"timestamp":' .. stamp ..
    ',"size":' .. #raw .. '}\n' .. raw
  local count = redis.call('LPUSH', dead, entry)
  local bytes = #entry
  if count == 1 then
    redis.call('SET', counter, bytes)
  else
    bytes = redis.call('INCRBY', counter, bytes)
  end
  while count > 1 and (count > max_count or bytes > max_bytes) do
    bytes = redis.call('DECRBY', counter, #redis.call('RPOP', dead))
    count = count - 1
  end
end

-- Splits what `unacked` holds, `[raw,"","queue"]`, into raw and the queue's name as JSON.
local function split_unacked(value)
  local raw, queue = string.match(value, '^%[(.*),"",("[^"\\]*")%]$')
  if not raw then raw, queue = string.match(value, '^%[(.*), *"", *(".-")%]$') end
  return raw, queue
end

local function server_time()
  local now = redis.call('TIME')
  return now[1] .. '.' .. string.format('%06d', now[2])
end
