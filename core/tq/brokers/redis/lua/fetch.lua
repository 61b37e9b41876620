-- Take messages and record them as unacked, in one step.
-- KEYS 1 unacked, 2 unacked_index, 3 tq:seq, 4 the consumer's tags, 5 tq:dead, 6 tq:dead:bytes,
--      7 tq:consumers, 8.. lists to take from, the most urgent first
-- ARGV 1 most messages (up to 1000), 2 tag prefix, 3 most bytes of a message, 4 and 5 caps of the
--      dead letters (count, bytes), 6 consumer id, 7 its lease in seconds, 8.. the name, as JSON,
--      of the queue each list belongs to
-- Returns {number of the first tag, garbage, lists of a wrong type, {list, raw, raw ...} ...}
--      garbage is {list, reason, first KB of it ...}; lists are counted from 1
-- If the client dies half-way, or a key has the wrong type, each message is either still in its
-- list or in unacked under this consumer's lease (or, being unreadable, in tq:dead).
-- @include dead.lua

local room = tonumber(ARGV[1])
local prefix, largest = ARGV[2], tonumber(ARGV[3])
local reply, garbage, wrong = {0, {}, {}}, {}, {}
local popped, total = {}, 0

-- Whoever takes has a lease: a consumer that slept past its own and was reaped has one again from
-- here on, so that what it takes now is found when it dies before its next beat.
local stamp = server_time()
local registered = redis.pcall('ZADD', KEYS[7], string.format('%.6f', stamp + ARGV[7]), ARGV[6])
if type(registered) == 'table' and registered['err'] then
  if string.sub(registered['err'], 1, 9) ~= 'WRONGTYPE' then
    return redis.error_reply(registered['err'])
  end
  return redis.error_reply('WRONGTYPE the key ' .. KEYS[7] .. ' holds another type than tq needs')
end

for i = 8, #KEYS do
  if room <= 0 then break end
  local items = redis.pcall('RPOP', KEYS[i], room)
  if items and items['err'] then
    wrong[#wrong + 1] = i - 7
  elseif items then
    room = room - #items
    popped[#popped + 1] = {i, items}
  end
end
reply[3] = wrong
if #popped == 0 then return reply end

local good = {}
for _, pair in ipairs(popped) do
  local i, list = pair[1], {pair[1] - 7}
  for _, raw in ipairs(pair[2]) do
    -- 123 and 125 are braces: whatever else lies there would stop a kombu peer that restores it.
    if #raw > largest then
      garbage[#garbage + 1] = {i, 'too_large', raw}
    elseif string.byte(raw, 1) ~= 123 or string.byte(raw, -1) ~= 125 then
      garbage[#garbage + 1] = {i, 'not_json', raw}
    else
      list[#list + 1] = raw
      total = total + 1
    end
  end
  if #list > 1 then good[#good + 1] = list end
end

local fault, tags

local function attempt(key, ...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer['err'] then
    fault = fault or key
    return nil
  end
  return answer
end

if #garbage > 0 then fault = dead_fault(KEYS[5], KEYS[6]) end
if total > 0 and not fault then
  local last = attempt(KEYS[3], 'INCRBY', KEYS[3], total)
  if last then
    local values, scores = {}, {}
    tags = {}
    local number, n = last - total, 0
    for _, list in ipairs(good) do
      local tail = ',"",' .. ARGV[list[1] + 7] .. ']'
      for k = 2, #list do
        number = number + 1
        local tag = prefix .. string.format('%d', number)
        n = n + 1
        tags[n] = tag
        values[2 * n - 1], values[2 * n] = tag, '[' .. list[k] .. tail
        scores[2 * n - 1], scores[2 * n] = stamp, tag
      end
    end
    reply[1] = last - total + 1
    attempt(KEYS[1], 'HSET', KEYS[1], unpack(values))
    if not fault then attempt(KEYS[2], 'ZADD', KEYS[2], unpack(scores)) end
    if not fault then attempt(KEYS[4], 'SADD', KEYS[4], unpack(tags)) end
  end
end

if fault then
  -- Nothing may be lost to a key that somebody else wrote: undo, in the order things were.
  if tags then
    redis.pcall('HDEL', KEYS[1], unpack(tags))
    redis.pcall('ZREM', KEYS[2], unpack(tags))
    redis.pcall('SREM', KEYS[4], unpack(tags))
  end
  for _, pair in ipairs(popped) do
    local items = pair[2]
    for k = #items, 1, -1 do redis.call('RPUSH', KEYS[pair[1]], items[k]) end
  end
  return redis.error_reply('WRONGTYPE the key ' .. fault .. ' holds another type than tq needs')
end

for _, item in ipairs(garbage) do
  local i, reason, raw = item[1], item[2], item[3]
  add_dead(KEYS[5], KEYS[6], tonumber(ARGV[4]), tonumber(ARGV[5]), reason, ARGV[i], stamp, raw)
  local shown = reply[2]
  shown[#shown + 1] = i - 7
  shown[#shown + 1] = reason
  shown[#shown + 1] = string.sub(raw, 1, 1024)
end
for k, list in ipairs(good) do reply[3 + k] = list end
return reply
