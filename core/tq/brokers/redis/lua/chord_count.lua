-- Counts one part outside the settle step.
--
-- KEYS[1]  celery-taskset-meta-<group id>
-- ARGV     member, mark, score, ordered, chord_ttl, result_ttl, claim_ttl, token
-- Returns the token, or nil; see chord_part.lua.
-- @include chord_part.lua
return count_chord_part(KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7],
                        ARGV[8])
