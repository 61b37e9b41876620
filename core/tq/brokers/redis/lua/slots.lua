-- Publish the calls of due slots, each slot once, if we lead.
-- KEYS 1 tq:lock:beat, 2 the progress of all entries, 3 _kombu.binding_deadlines,
--      4.. the claim of each slot
-- ARGV 1 the lock's value as it was given to us, 2 milliseconds that a claim lasts, 3 key prefix,
--      4 separator, 5.. items: entry, its progress, task id, number of messages, messages as
--      publication.lua describes them
-- Returns one answer per item: 1 published, 0 that was done before, or an error's text; nothing
--      at all (false) when we do not lead any more.
-- If the client dies half-way: the script ran as a whole or not at all. Asked again, it answers 0
-- for what was done, as the claim is still there.
-- @include publication.lua

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
local answers = {}
local at, item = 5, 0
while at <= #ARGV do
  local entry, progress, id, messages = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  at = at + 4
  item = item + 1
  local claimed = redis.call('SET', KEYS[3 + item], id, 'NX', 'PX', ARGV[2])
  if claimed then
    answers[item] = 1
    redis.call('HSET', KEYS[2], entry, progress)
    for _ = 1, messages do
      local err
      at, err = send_message(at, ARGV[3], ARGV[4], KEYS[3])
      if err then answers[item] = err end
    end
  else
    answers[item] = 0
    for _ = 1, messages do
      local kind = ARGV[at]
      at = at + ((kind == 'l' or kind == 'f') and 4 or 5)
    end
  end
end
return answers
