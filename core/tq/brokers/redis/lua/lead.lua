-- Become, or stay, the one beat that sends; or find out who is.
-- KEYS 1 tq:lock:beat, 2 its fencing counter
-- ARGV 1 our name, 2 milliseconds that the lease lasts
-- Returns {the lock's value, milliseconds until it ends, 1 when it is ours}. The value is
--      `<fence> <name>`: no two holds of the lock share a fence.
-- If the client dies half-way: the script ran as a whole or not at all; the lease ends by itself.
local held = redis.call('GET', KEYS[1])
if not held then
  held = string.format('%.0f', redis.call('INCR', KEYS[2])) .. ' ' .. ARGV[1]
  redis.call('SET', KEYS[1], held, 'PX', ARGV[2])
elseif string.match(held, '^%d+ (.*)$') == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
else
  return {held, redis.call('PTTL', KEYS[1]), 0}
end
return {held, tonumber(ARGV[2]), 1}
