-- Included by other scripts: send one message, described by four arguments: kind, target, address, raw.
--   l  target is a list                                     address: the queue's name as JSON
--   f  target is a channel                                  address: unused
--   d  target is a direct exchange's table of bindings      address: routing key
--   t  target is a topic exchange's table of bindings       address: routing key
-- For d and t the raw message is preceded by a fifth argument, the suffix of its priority's list.

-- A topic pattern as a Lua pattern; `#` and `*` mean what kombu's TopicExchange makes of them.
local patterns = {}
local function topic_pattern(key)
  local found = patterns[key]
  if found then return found end
  local words = {}
  for word in string.gmatch(key .. '.', '([^.]*)%.') do
    if word == '*' then
      words[#words + 1] = '[^.]+'
    elseif word == '#' then
      words[#words + 1] = '.-'
    else
      words[#words + 1] = (string.gsub(word, '%W', '%%%0'))
    end
  end
  found = '^' .. table.concat(words, '%.') .. '$'
  patterns[key] = found
  return found
end

-- Returns the names of the queues bound for a routing key, each once.
local tables = {}
local function bound_queues(kind, exchange, routing_key, sep)
  local members = tables[exchange]
  if not members then
    members = redis.call('SMEMBERS', exchange)
    tables[exchange] = members
  end
  local queues, seen = {}, {}
  for _, member in ipairs(members) do
    local first = string.find(member, sep, 1, true)
    local second = first and string.find(member, sep, first + #sep, true)
    if second then
      local key, queue = string.sub(member, 1, first - 1), string.sub(member, second + #sep)
      local match
      if kind == 't' then
        match = string.find(routing_key, topic_pattern(key))
      else
        match = key == routing_key
      end
      if match and not seen[queue] then
        seen[queue] = true
        queues[#queues + 1] = queue
      end
    end
  end
  return queues
end

-- Sends the message at ARGV[at]; returns the next position, and an error with the list it concerns.
local function send_message(at, prefix, sep, deadlines)
  local kind, target, address = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  if kind == 'l' or kind == 'f' then
    local raw = ARGV[at + 3]
    local answer
    if kind == 'l' then
      answer = redis.pcall('LPUSH', target, raw)
    else
      answer = redis.pcall('PUBLISH', target, raw)
    end
    return at + 4, type(answer) == 'table' and answer['err'], raw, address
  end
  local suffix, raw = ARGV[at + 3], ARGV[at + 4]
  local exchange = string.match(target, '_kombu%.binding%.(.*)$') or target
  for _, queue in ipairs(bound_queues(kind, target, address, sep)) do
    local list = prefix .. queue .. suffix
    local answer = redis.pcall('LPUSH', list, raw)
    if type(answer) == 'table' and answer['err'] then
      return at + 5, answer['err'] .. ' (' .. list .. ')', raw, '"' .. queue .. '"'
    end
    -- Queues that expire keep their lists no longer than kombu keeps the table itself, so that
    -- replies to somebody who is gone do not stay for ever.
    local deadline = redis.call('ZSCORE', deadlines, exchange)
    if deadline and redis.call('EXISTS', prefix .. '_kombu.binding_permanent.' .. exchange) == 0 then
      redis.call('PEXPIREAT', list, string.format('%.0f', deadline))
    end
  end
  return at + 5, nil
end
