-- Counts one part outside the settle step.
--
-- KEYS[1]  celery-taskset-meta-<group id>
-- ARGV     member, mark, score, ordered, chord_ttl, result_ttl, claim_ttl, token
-- Returns the claim (mark, `|`, token), or nil; see chord_part.lua.
-- @include chord_part.lua
local mark, token = ARGV[2], ARGV[2] .. '|' .. ARGV[8]

-- The same part counts again only when its message came back: whoever held the claim has lost it.
local function is_dead(owner)
  return string.sub(owner, 1, #mark + 1) == mark .. '|'
end

return count_chord_part(KEYS[1], ARGV[1], mark, ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], token,
                        is_dead)
