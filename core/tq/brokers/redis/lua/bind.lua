-- Bind a queue that expires, and keep kombu's sweep away from the table meanwhile.
-- KEYS 1 _kombu.binding.<exchange>, 2 _kombu.binding_deadlines
-- ARGV 1 member, 2 exchange, 3 milliseconds until the binding may be swept
-- Returns the deadline in ms by the server's clock.
-- If the client dies half-way: the script ran as a whole or not at all.
-- Source: PROTOCOL 1.6
local now = redis.call('TIME')
local deadline = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000) + tonumber(ARGV[3])
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[2], 'GT', string.format('%.0f', deadline), ARGV[2])
return deadline
