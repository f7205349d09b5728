"""What makes room in Redis of what it has of feed clients: scripts, for the keys that `feed_script.py` tells of.

All of them work where Redis has no memory left.
"""

from __future__ import annotations

from typing import Final

from projections.feed_script import FREES, SHAPES

TIDY: Final = (
    FREES
    + SHAPES
    + """
-- ARGV: 'changed', 'tombstones' or 'records'; cursor; how many; the present in Unix milliseconds. Answers the cursor.
-- Takes out what nobody can see any more: what is below the floor, what has expired, of a bulk record and a change the
-- older one, and tombstones without a use.
local PLACES = {changed = CHANGED, tombstones = TOMBSTONES, records = standing}
local place, now = PLACES[ARGV[1]], tonumber(ARGV[4])
local answer = redis.call('HSCAN', place, ARGV[2], 'COUNT', ARGV[3])
for at = 1, #answer[2], 2 do
  local key, value = answer[2][at], answer[2][at + 1]
  if place == TOMBSTONES then
    local stamp = tonumber(value)
    local loaded = redis.call('HGET', standing, key)
    if stamp < floor then redis.call('HDEL', place, key)
    else
      if loaded and stamp_of(loaded) < stamp then redis.call('HDEL', standing, key) end
      if not older_may_come(stamp) then redis.call('HDEL', place, key) end
    end
  else
    local stamp, expiry = stamp_of(value), #value < 16 and 0 or struct.unpack('>I8', value, 9)
    local loaded = place == CHANGED and redis.call('HGET', standing, key)
    if stamp < floor or loaded and stamp_of(loaded) > stamp then redis.call('HDEL', place, key)
    -- Not one that changes are still to be read which it stands over.
    elseif expiry > 0 and expiry <= now and number('changes') >= stamp then
      redis.call('HDEL', place, key)
      note_removal(stamp)
      -- It may be all that stands between a reader and an older record: that stays away.
      if place == CHANGED then redis.call('HSET', TOMBSTONES, key, stamp)
      elseif stamp_of(redis.call('HGET', CHANGED, key)) < stamp then redis.call('HDEL', CHANGED, key) end
    -- Whatever becomes of the change, it keeps an older record away, and leaves a tombstone or a floor that does.
    elseif loaded then redis.call('HDEL', standing, key)
    end
  end
end
return answer[1]
"""
)

WRITTEN: Final = (
    FREES
    + """
-- KEYS[1]: a list of rows of the audit. ARGV: rows that are written elsewhere by now.
for _, row in ipairs(ARGV) do redis.call('LREM', KEYS[1], 1, row) end
return 1
"""
)

DROP: Final = (
    FREES
    + SHAPES
    + """
redis.call('UNLINK', standing, records_of(number('opened')), unpack(KEYS))
return 1
"""
)
"""Forgets the client."""
