"""How the budget of a campaign is kept in Redis: the Lua that all scripts about budgets begin with.

The API's processes reserve in these accounts what the projection `budgets` then finds confirmed, or released, in the
log; so both sides have to understand an account in the same way. All keys share one hash slot: offsets and money move
in one step, or not at all.

- `OFFSETS` (hash): how far the log was applied; `run` and `since`, the server's life that the accounts belong to and
  when it was first met; `known`, that life once everything logged before is in the accounts; `released_until`, Unix
  seconds up to which every reservation has come to its end; `changes`, a counter.
- `ACCOUNTS` (hash): campaign to words: what is spent and reserved; a day, and both of it; the newest day before that
  one, and both of it, as an award shortly before midnight is paid for after it; counted impressions and clicks; the
  window of its frequency cap in seconds.
- `HELD` (hash): what a reservation or a counted engagement is of, to its state; see `entry_id`.
- `ENDS` (sorted set): the same, by the Unix second from which nothing can come of it any more.
- `CHANGED` (sorted set): campaign, by the value that `changes` had when its account last changed.

Beside them stands a sorted set for each person that a capped campaign has met: what was shown by when, and what may
still be shown by the latest moment at which it may be.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from domain.event_parts import EngagementKind
from domain.limits import FREQUENCY_WINDOW_MAX_SECONDS

NO_DAY: Final = "-"
"""In the place of a day that there was none of yet; sorts before all others."""

ACCOUNT_SCRIPT: Final = r"""
local OFFSETS, ACCOUNTS, HELD, ENDS, CHANGED = KEYS[1], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local SPENT, RESERVED, DAY, BEFORE, IMPRESSIONS, CLICKS, WINDOW = 1, 2, 3, 6, 9, 10, 11
local MAX_WINDOW = %FREQUENCY_WINDOW_MAX_SECONDS%
-- Sums of money are decimal text: a Lua number is exact up to 2^53 only, so they are added in two parts.
local function parts(text)
  return tonumber(string.sub(text, 1, -10)) or 0, tonumber(string.sub(text, -9))
end
local function text_of(high, low)
  if low < 0 then high, low = high - 1, low + 1e9 elseif low >= 1e9 then high, low = high + 1, low - 1e9 end
  if high < 0 then return '0' end
  if high == 0 then return string.format('%d', low) end
  return string.format('%.0f%09d', high, low)
end
local function plus(one, other)
  local high, low = parts(one)
  local more_high, more_low = parts(other)
  return text_of(high + more_high, low + more_low)
end
local function minus(one, other)
  local high, low = parts(one)
  local less_high, less_low = parts(other)
  return text_of(high - less_high, low - less_low)
end
local function is_more(one, other)
  local high, low = parts(one)
  local other_high, other_low = parts(other)
  return high > other_high or high == other_high and low > other_low
end

local function account_of(campaign)
  local account = {}
  local text = redis.call('HGET', ACCOUNTS, campaign) or '0 0 - 0 0 - 0 0 0 0 0'
  for word in string.gmatch(text, '%S+') do account[#account + 1] = word end
  return account
end
local function keep(campaign, account)
  redis.call('HSET', ACCOUNTS, campaign, table.concat(account, ' '))
  redis.call('ZADD', CHANGED, redis.call('HINCRBY', OFFSETS, 'changes', 1), campaign)
end

-- Where an account keeps the day; nil if that is older than the two newest.
local function place_of(account, day)
  if day == account[DAY] then return DAY end
  if day == account[BEFORE] then return BEFORE end
  if day > account[DAY] then
    for word = 0, 2 do account[BEFORE + word] = account[DAY + word] end
    account[DAY], account[DAY + SPENT], account[DAY + RESERVED] = day, '0', '0'
    return DAY
  end
  if day > account[BEFORE] then
    account[BEFORE], account[BEFORE + SPENT], account[BEFORE + RESERVED] = day, '0', '0'
    return BEFORE
  end
  return nil
end
-- `which` is SPENT or RESERVED, `change` plus or minus.
local function book(account, which, change, nanos, day)
  account[which] = change(account[which], nanos)
  local place = place_of(account, day)
  if place then account[place + which] = change(account[place + which], nanos) end
end

local function window_of(campaign, person)
  return string.gsub(ACCOUNTS, 'accounts$', 'window:') .. campaign .. ':' .. person
end
local function into_window(campaign, account, person, id, counts_from)
  local key = window_of(campaign, person)
  redis.call('ZADD', key, counts_from, id)
  local seconds = tonumber(account[WINDOW])
  if seconds == 0 then seconds = MAX_WINDOW end
  local last = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')[2]
  redis.call('EXPIREAT', key, string.format('%.0f', math.ceil(tonumber(last)) + seconds + 1))
end

-- Of an entry: 'held' or 'counted', nanos, day, when it ends or was shown, campaign, person.
local function entry_of(id)
  local packed = redis.call('HGET', HELD, id)
  if not packed then return nil end
  return unpack(cmsgpack.unpack(packed))
end
local function enter(id, ends_at, ...)
  redis.call('HSET', HELD, id, cmsgpack.pack({...}))
  redis.call('ZADD', ENDS, ends_at, id)
end
local function hold(campaign, account, id, nanos, day, ends_at, person)
  book(account, RESERVED, plus, nanos, day)
  enter(id, ends_at, 'held', nanos, day, ends_at, campaign, person)
  if person ~= '' then into_window(campaign, account, person, id, ends_at) end
end
local function let_go(id)
  local state, nanos, day, _, campaign, person = entry_of(id)
  if state ~= 'held' then return end
  local account = account_of(campaign)
  book(account, RESERVED, minus, nanos, day)
  keep(campaign, account)
  redis.call('HDEL', HELD, id)
  redis.call('ZREM', ENDS, id)
  if person ~= '' then redis.call('ZREM', window_of(campaign, person), id) end
end

-- Whatever has lost some of its memory, or has been another server meanwhile, is not to be believed.
local function run_id()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
end
local function is_whole()
  return redis.call('EXISTS', ACCOUNTS, HELD, ENDS, CHANGED) == 4
end
local function is_known()
  return redis.call('HGET', OFFSETS, 'known') == run_id() and is_whole()
end
""".replace("%FREQUENCY_WINDOW_MAX_SECONDS%", str(FREQUENCY_WINDOW_MAX_SECONDS))


def entry_id(kind: EngagementKind, auction_id: str, imp_id: str) -> str:
    """What a reservation is for: an imp is awarded once, and of its impressions and clicks one each is paid for."""
    return f"{kind}:{auction_id}:{imp_id}"


def day_of(at: datetime) -> str:
    """The UTC day whose budget something counts against."""
    return at.astimezone(UTC).date().isoformat()
