"""The projection `budgets`: what campaigns have spent and reserved, as the log tells it, in the accounts in Redis.

The API reserves in the same accounts before it logs an award, so an award that is read here mostly changes nothing.
An impression or click that costs something turns its reservation into money spent; `budget_settlement.py` releases
those that nothing can come of any more. Topics are read in any interleaving: an impression may be met before its award.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from redis.asyncio import Redis

from domain.budget_account import ACCOUNT_SCRIPT, day_of, entry_id
from domain.event_parts import EngagementKind
from domain.events import AuctionAwarded, ClickRecorded, EngagementVoided, Event, ImpressionRecorded
from domain.limits import CLICK_EXPIRY_SECONDS
from domain.names import Names

# Arguments, for each: what happened, campaign, entry or engagement, nanos, day, a moment (when it ends; 0 for a void),
# and a word of its own: the person of an award, the moment of an engagement, the kind of what is voided.
BOOK: Final = """
local released_until = tonumber(redis.call('HGET', OFFSETS, 'released_until') or 0)

local function award(campaign, id, nanos, day, ends_at, person)
  local state, held_nanos, _, shown_at, holder = entry_of(id)
  if state == 'held' and holder == campaign and held_nanos == nanos then return end
  -- Where its entry has ended before it was read nobody knows whether it was seen: to a frequency cap it was.
  if state == 'counted' or tonumber(ends_at) <= released_until then
    local counts_from = state == 'counted' and shown_at or ends_at
    if person ~= '' then into_window(campaign, account_of(campaign), person, id, counts_from) end
    return
  end
  let_go(id)
  local account = account_of(campaign)
  hold(campaign, account, id, nanos, day, ends_at, person)
  keep(campaign, account)
end

local function count(counter, campaign, id, nanos, day, ends_at, at)
  local state, _, held_day, _, _, person = entry_of(id)
  if state == 'counted' then return end
  if state == 'held' then
    let_go(id)
    day = held_day
  end
  local account = account_of(campaign)
  book(account, SPENT, plus, nanos, day)
  account[counter] = tostring(account[counter] + 1)
  enter(id, ends_at, 'counted', nanos, day, at, campaign, '')
  if state == 'held' and person ~= '' then into_window(campaign, account, person, id, at) end
  keep(campaign, account)
end

local function void(campaign, engagement, nanos, day, kind)
  if redis.call('HSETNX', HELD, 'void:' .. engagement, '') == 0 then return end
  local account = account_of(campaign)
  local counter = kind == 'click' and CLICKS or IMPRESSIONS
  book(account, SPENT, minus, nanos, day)
  account[counter] = tostring(math.max(0, account[counter] - 1))
  keep(campaign, account)
end

for fact = at, #ARGV, 7 do
  local what, campaign, id, nanos, day, ends_at, own = unpack(ARGV, fact, fact + 6)
  if what == 'award' then award(campaign, id, nanos, day, ends_at, own)
  elseif what == 'impression' then count(IMPRESSIONS, campaign, id, nanos, day, ends_at, own)
  elseif what == 'click' then count(CLICKS, campaign, id, nanos, day, ends_at, own)
  else void(campaign, id, nanos, day, own) end
end
"""

Facts = list[str]
"""Arguments of the script, in the order of the log."""


class Budgets:
    """A `projection.Projection` in Redis."""

    name = "budgets"
    events: tuple[type[Event], ...] = (AuctionAwarded, ImpressionRecorded, ClickRecorded, EngagementVoided)
    script = ACCOUNT_SCRIPT + BOOK

    def __init__(self, names: Names) -> None:
        self.offsets_key = names.budget_offsets
        self.parked_key = names.budget_parked
        self.keys: Sequence[str] = names.budget_data

    def fold(self, events: Sequence[Event], onto: Facts | None = None) -> Facts:
        facts: Facts = [] if onto is None else onto
        for event in events:
            if isinstance(event, AuctionAwarded):
                facts += _award(event)
            elif isinstance(event, ImpressionRecorded | ClickRecorded):
                facts += _engagement(event)
            elif isinstance(event, EngagementVoided):
                facts += _void(event)
        return facts

    async def arguments(self, _redis: Redis, rows: Facts) -> Sequence[str | bytes]:
        return rows


def _award(award: AuctionAwarded) -> Sequence[str]:
    """Nothing for an award that reserves nothing and whose viewers nobody counts."""
    direct = award.direct
    if direct is None or award.expires_at is None or award.test:
        return ()
    nanos = direct.charge_nanos if direct.charged_on == "impression" else 0
    if not nanos and not direct.person:
        return ()
    return (
        "award",
        direct.campaign_id,
        entry_id("impression", award.auction_id, award.imp_id),
        str(nanos),
        day_of(award.at),
        str(int(award.expires_at.timestamp())),
        direct.person,
    )


def _engagement(engagement: ImpressionRecorded | ClickRecorded) -> Sequence[str]:
    kind = _kind(engagement)
    if engagement.campaign_id is None or engagement.verdict != "valid":
        return ()
    # Until then another hit may be taken for the first. An impression's token ends sooner, yet a spool may bring late
    # what was valid.
    ends_at = engagement.awarded_at + timedelta(seconds=CLICK_EXPIRY_SECONDS)
    return (
        kind,
        engagement.campaign_id,
        entry_id(kind, engagement.auction_id, engagement.imp_id),
        str(_cost_nanos(engagement)),
        _day(engagement),
        str(int(ends_at.timestamp())),
        f"{engagement.at.timestamp():.6f}",
    )


def _void(void: EngagementVoided) -> Sequence[str]:
    """Only what had counted is ever voided; see `EngagementVoided.engagement`."""
    engagement = void.engagement
    if engagement is None or engagement.campaign_id is None or engagement.verdict != "valid":
        return ()
    nanos = str(_cost_nanos(engagement))
    return ("void", engagement.campaign_id, void.engagement_id, nanos, _day(engagement), "0", _kind(engagement))


def _kind(engagement: ImpressionRecorded | ClickRecorded) -> EngagementKind:
    return "click" if isinstance(engagement, ClickRecorded) else "impression"


def _cost_nanos(engagement: ImpressionRecorded | ClickRecorded) -> int:
    """In the campaign's currency; see `events.Engagement`."""
    costs = engagement.charged and engagement.charged_on == _kind(engagement)
    return engagement.charge_nanos if costs else 0


def _day(engagement: ImpressionRecorded | ClickRecorded) -> str:
    """An impression was reserved on the day of its award; a click is on its own."""
    return day_of(engagement.at if isinstance(engagement, ClickRecorded) else engagement.awarded_at)
