-- Delete the tables of exchanges whose queues have all expired.
-- KEYS 1 _kombu.binding_deadlines
-- ARGV 1 prefix of tables, 2 prefix of permanent tables, 3 most exchanges to look at
-- Returns how many exchanges were overdue.
-- If the client dies half-way: the script ran as a whole or not at all.
-- Source: PROTOCOL 1.6
local now = redis.call('TIME')
local ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
local overdue = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', ms), 'LIMIT', 0, ARGV[3])
for k = 1, #overdue do
  if redis.call('EXISTS', ARGV[2] .. overdue[k]) == 0 then redis.call('DEL', ARGV[1] .. overdue[k]) end
  redis.call('ZREM', KEYS[1], overdue[k])
end
return #overdue
