-- Take dead letters away, and put what lay in them back on their lists.
-- KEYS 1 tq:dead, 2 tq:dead:bytes
-- ARGV items of three: the entry, the list ('' to drop it), the message to put there
-- Returns 1 or 0 for each item: whether it still lay there.
-- If the client dies half-way: the script ran as a whole or not at all. A list of a wrong type
-- leaves its entry where it is, and the error names it.
-- @include dead.lua

local fault = dead_fault(KEYS[1], KEYS[2])
local done, err = {}, nil
if fault then err = 'WRONGTYPE the key ' .. fault .. ' holds another type than tq needs' end
for at = 1, err and 0 or #ARGV, 3 do
  local entry, list = ARGV[at], ARGV[at + 1]
  local kind = list == '' and 'none' or redis.call('TYPE', list)['ok']
  local moved = 0
  if kind ~= 'none' and kind ~= 'list' then
    err = err or 'WRONGTYPE the key ' .. list .. ' holds another type than tq needs'
  else
    moved = redis.call('LREM', KEYS[1], 1, entry)
    if moved == 1 then
      redis.call('DECRBY', KEYS[2], #entry)
      if list ~= '' then redis.call('LPUSH', list, ARGV[at + 2]) end
    end
  end
  done[#done + 1] = moved
end
if err then return redis.error_reply(err) end
return done
