"""What Redis answers of a feed client's records, of the state that `feed_script.py` writes."""

from __future__ import annotations

from typing import Final

from projections.feed_script import SHAPES

READS: Final = "#!lua flags=no-writes\n"

LOOK_UP: Final = (
    READS
    + SHAPES
    + """
-- ARGV: record keys. Answers their values, each with its stamp in front.
local found = {}
for i, key in ipairs(ARGV) do found[i] = seen(key) or false end
return found
"""
)

LOOK_UP_IN_PLACE: Final = (
    READS
    + SHAPES
    + """
-- The same, behind how far each topic has been read of the client: the bulk, then the changes; -1 for not at all.
local found = {number('bulk'), number('changes')}
for i, key in ipairs(ARGV) do found[i + 2] = seen(key) or false end
return found
"""
)

COUNT: Final = (
    READS
    + SHAPES
    + """
-- ARGV: 'changed' or 'tombstones'; cursor; how many. Answers the cursor, and how many records a reader sees more, or
-- fewer, than `records:<active>` has, by that part of the keys.
local place = ARGV[1] == 'changed' and CHANGED or TOMBSTONES
local answer = redis.call('HSCAN', place, ARGV[2], 'COUNT', ARGV[3])
local more = 0
for at = 1, #answer[2], 2 do
  local key = answer[2][at]
  local is_loaded = redis.call('HEXISTS', standing, key) == 1
  -- One that is in both is counted with the changed ones.
  if place == CHANGED or redis.call('HEXISTS', CHANGED, key) == 0 then
    more = more + (seen(key) and 1 or 0) - (is_loaded and 1 or 0)
  end
end
return {answer[1], more, redis.call('HLEN', standing)}
"""
)
