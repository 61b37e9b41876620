-- Publish messages through exchanges whose bindings decide where they go.
-- KEYS 1 _kombu.binding_deadlines
-- ARGV 1 key prefix, 2 separator, 3.. messages as publication.lua describes them
-- Returns how many messages were sent; an unbound one counts, as nobody wants it.
-- If the client dies half-way: the script ran as a whole or not at all.
-- @include publication.lua

local at, count = 3, 0
local err
while at <= #ARGV do
  local fault
  at, fault = send_message(at, ARGV[1], ARGV[2], KEYS[1])
  err = err or fault
  count = count + 1
end
if err then return redis.error_reply(err) end
return count
