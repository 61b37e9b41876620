-- Look at queues without taking anything: lengths, what comes next, and what is out of sight.
-- KEYS 1 unacked, 2 tq:delayed, 3 tq:dead, 4 tq:dead:bytes, 5.. the queues' lists
-- ARGV 1 most entries of each of the first three to look at, 2 most bytes of one of them
-- Returns {lengths, task ids of the messages that come next or '', unacked, parked, dead}; the last
--      three are {how many, known}, known being 0 where there are too many to look at, else
--      {exchange LF routing key, n ...}, {list, n ...} and {queue, n ...}
-- If the client dies half-way: nothing is written.
local most, largest = tonumber(ARGV[1]), tonumber(ARGV[2])

local lengths, heads = {}, {}
for i = 5, #KEYS do
  local length = redis.pcall('LLEN', KEYS[i])
  if type(length) ~= 'number' then length = 0 end  -- somebody's key of another type
  lengths[#lengths + 1] = length
  local raw = length > 0 and redis.call('LINDEX', KEYS[i], -1) or ''
  -- an escaped quote cannot stand before the name of a real field
  heads[#heads + 1] = string.match(raw, '"correlation_id":%s*"([^"]+)"') or ''
end

local function flat(counts)
  local list = {}
  for name, number in pairs(counts) do
    list[#list + 1] = name
    list[#list + 1] = number
  end
  return list
end

local function count(key, command)
  local number = redis.pcall(command, key)
  return type(number) == 'number' and number or 0
end

local parked, held, waits = count(KEYS[2], 'ZCARD'), {}, 0
if parked <= most then
  local lists = {}
  for _, member in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    local tag, list = string.match(member, '^(%S+) (.*)$')
    if tag then
      held[tag] = true
      lists[list] = (lists[list] or 0) + 1
    end
  end
  waits = flat(lists)
end

local unacked, out = count(KEYS[1], 'HLEN'), 0
if unacked <= most and waits ~= 0 then
  local places, known = {}, true
  for _, tag in ipairs(redis.call('HKEYS', KEYS[1])) do
    if not held[tag] then
      -- the place stands at the end; a long message is not read for it
      if redis.call('HSTRLEN', KEYS[1], tag) > largest then
        known = false
      else
        local tail = string.sub(redis.call('HGET', KEYS[1], tag), -512)
        local exchange, key = string.match(tail, '"([^"]*)"%s*,%s*"([^"]*)"%s*%]%s*$')
        if key then
          local place = exchange .. '\n' .. key
          places[place] = (places[place] or 0) + 1
        end
      end
    end
  end
  if known then out = flat(places) end
end

local dead, letters = count(KEYS[3], 'LLEN'), 0
local bytes = tonumber(redis.pcall('GET', KEYS[4]) or '') or 0
if dead <= most and bytes <= most * largest / 16 then
  local queues = {}
  for _, entry in ipairs(redis.call('LRANGE', KEYS[3], 0, -1)) do
    local queue = string.match(string.match(entry, '^[^\n]*'), '"queue":"([^"]*)"')
    if queue then queues[queue] = (queues[queue] or 0) + 1 end
  end
  letters = flat(queues)
end

return {lengths, heads, {unacked - (waits ~= 0 and parked or 0), out}, {parked, waits}, {dead, letters}}
