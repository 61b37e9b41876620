-- Acknowledge deliveries and record what goes with each, fenced by its tag.
-- KEYS 1 unacked, 2 unacked_index, 3 the consumer's tags, 4 its started, 5 tq:dead,
--      6 tq:dead:bytes, 7 _kombu.binding_deadlines
-- ARGV 1 and 2 caps of the dead letters (count, bytes), 3 key prefix, 4 separator, 5.. items:
--      tag, kind (sum of 1 started, 2 result, 4 chord), number of messages,
--      [result key, value, ttl], messages as publication.lua describes them,
--      [chord: group key, member, mark, score, ordered, chord ttl, result ttl, claim ttl, token]
-- Returns one answer per item: 0 the tag is not ours (nothing written), 1 done, the chord's claim
--      (tag, `|`, token), or `!` and an error of a recorded effect. A delivery that got a claim is
--      not acknowledged: whoever sends the body settles it once more, without effects.
-- If the client dies half-way: the script ran as a whole or not at all. Sent again, it answers 0
-- for what was done, since tags are never used twice.
-- @include dead.lua
-- @include publication.lua
-- @include chord_part.lua

local unacked, started = KEYS[1], KEYS[4]
local call = redis.call
local answers, n = {}, 0
local tags, gone = {}, 0
local at, last = 5, #ARGV

-- True when the tag is ours; `early` keeps the envelope as started.
local function take(tag, early)
  if early then
    local value = call('HGET', unacked, tag)
    if not value then return false end
    call('HDEL', unacked, tag)
    call('HSET', started, tag, value)
    return true
  end
  return call('HDEL', unacked, tag) == 1 or call('HDEL', started, tag) == 1
end

-- Where a delivery lies, and its envelope; nil when it is not ours.
local function find(tag)
  for _, key in ipairs({unacked, started}) do
    local value = call('HGET', key, tag)
    if value then return key, value end
  end
end

-- True when the delivery that completed a header is no longer held: its consumer lost it.
local function is_dead(owner)
  local tag = string.match(owner, '^(.*)|')
  if not tag or call('HEXISTS', unacked, tag) == 1 then return false end
  local consumer = string.match(tag, '^(.*)/')
  local key = consumer and ARGV[3] .. 'tq:c:' .. consumer .. ':started'
  return not key or call('HEXISTS', key, tag) == 0
end

-- Neither write of a result can fail but for access rights; then the waiter must hear of it.
local function failed(answer)
  return type(answer) == 'table' and answer['err']
end

while at <= last do
  local tag, kind, messages = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  at = at + 3
  n = n + 1
  local early = kind % 2 == 1
  local result, chord = kind % 4 >= 2, kind >= 4
  local answer, held = 0, false
  local place, envelope
  if chord then place, envelope = find(tag) end
  if take(tag, early) then
    answer = 1
    local fault
    if result then
      local key, value, ttl = ARGV[at], ARGV[at + 1], ARGV[at + 2]
      at = at + 3
      if ttl == '0' then
        fault = failed(redis.pcall('SET', key, value))
      else
        fault = failed(redis.pcall('SET', key, value, 'EX', ttl))
      end
      fault = failed(redis.pcall('PUBLISH', key, value)) or fault
    end
    for _ = 1, messages do
      local err, raw, queue
      at, err, raw, queue = send_message(at, ARGV[3], ARGV[4], KEYS[7])
      if err then
        -- The queue's key holds another type: what should have followed waits with the dead.
        fault = err
        if not dead_fault(KEYS[5], KEYS[6]) then
          add_dead(KEYS[5], KEYS[6], tonumber(ARGV[1]), tonumber(ARGV[2]), 'not_sent',
            queue ~= '' and queue or '""', server_time(), raw)
        end
      end
    end
    if chord then
      -- A chord's key of a wrong type must not undo the rest of the batch half-way.
      local fine, claim = pcall(count_chord_part, ARGV[at], ARGV[at + 1], ARGV[at + 2],
        ARGV[at + 3], ARGV[at + 4], ARGV[at + 5], ARGV[at + 6], ARGV[at + 7],
        tag .. '|' .. ARGV[at + 8], is_dead)
      at = at + 9
      if not fine then
        fault = type(claim) == 'table' and claim['err'] or tostring(claim)
      elseif claim then
        answer, held = claim, true
        call('HSET', place, tag, envelope)
      end
    end
    if fault and answer == 1 then answer = '!' .. fault end
  else
    if result then at = at + 3 end
    for _ = 1, messages do
      local exchange = ARGV[at] == 'd' or ARGV[at] == 't'
      at = at + (exchange and 5 or 4)
    end
    if chord then at = at + 9 end
  end
  answers[n] = answer
  if not held then
    gone = gone + 1
    tags[gone] = tag
  end
end

for first = 1, gone, 1000 do
  local stop = math.min(first + 999, gone)
  call('ZREM', KEYS[2], unpack(tags, first, stop))
  call('SREM', KEYS[3], unpack(tags, first, stop))
end
return answers
