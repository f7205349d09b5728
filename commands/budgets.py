"""The budgets of campaigns in Redis: reserved at the award, in one step over all processes.

What was reserved becomes spent, or is released, by what the projection `budgets` reads in the log; see
docs/decisions/0020. Here nothing is ever taken back but an award that nobody was told of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import structlog
from redis.exceptions import RedisError

from commands.ports import Wanted
from commands.redis_pipeline import RedisAway, RedisPipeline, Script
from domain.budget_account import ACCOUNT_SCRIPT, NO_DAY, day_of, entry_id
from domain.direct.budget import NOTHING_SPENT, BudgetState, Uncharged
from domain.errors import Unavailable
from domain.event_parts import EngagementKind
from domain.names import Names

LOOK_SECONDS: Final = 0.5
"""How old the states of this process are at most, while Redis answers."""
CHANGES_MAX: Final = 1_000
"""Accounts in one answer: a script holds up everybody else while it runs."""

# ARGV, for each: campaign, entry, nanos, day, end, budget, daily budget or '', the cap's impressions or 0 and its
# seconds, person, now. Answers with a word for each: what is in the way, or ''.
RESERVE: Final = (
    ACCOUNT_SCRIPT
    + """
local function in_the_way(account, campaign, nanos, day, budget, daily_budget, impressions, seconds, person, now)
  if is_more(plus(plus(account[SPENT], account[RESERVED]), nanos), budget) then return 'budget' end
  local place = place_of(account, day)
  if daily_budget ~= '' then
    if not place then return 'past' end
    local of_day = plus(account[place + SPENT], account[place + RESERVED])
    if is_more(plus(of_day, nanos), daily_budget) then return 'daily_budget' end
  end
  if impressions == 0 then return '' end
  if person == '' then return 'nobody' end
  local recent = redis.call('ZCOUNT', window_of(campaign, person), string.format('(%.6f', now - seconds), '+inf')
  return recent >= impressions and 'cap' or ''
end

local function reserve(campaign, id, nanos, day, ends_at, budget, daily_budget, impressions, seconds, person, now)
  local state, held_nanos, _, _, holder = entry_of(id)
  if state == 'counted' then return '' end
  if state == 'held' and holder == campaign and held_nanos == nanos then return '' end
  let_go(id)
  local account = account_of(campaign)
  impressions, seconds = tonumber(impressions), tonumber(seconds)
  local word = in_the_way(
    account, campaign, nanos, day, budget, daily_budget, impressions, seconds, person, tonumber(now))
  if word ~= '' or nanos == '0' and impressions == 0 then return word end
  if seconds > tonumber(account[WINDOW]) then account[WINDOW] = tostring(seconds) end
  hold(campaign, account, id, nanos, day, ends_at, impressions > 0 and person or '')
  keep(campaign, account)
  return ''
end

local words = {}
local known = is_known()
for at = 1, #ARGV, 11 do
  words[#words + 1] = known and reserve(unpack(ARGV, at, at + 10)) or 'unknown'
end
return words
"""
)

# ARGV: campaign and entry of each.
RELEASE: Final = (
    ACCOUNT_SCRIPT
    + """
for at = 1, #ARGV, 2 do
  local _, _, _, _, campaign = entry_of(ARGV[at + 1])
  if campaign == ARGV[at] then let_go(ARGV[at + 1]) end
end
"""
)

# ARGV: the last answer's life and counter, how many accounts at most. Answers with life and counter of this one, then
# campaign and account of each that has changed; with nothing while the accounts are not known.
CHANGES: Final = (
    ACCOUNT_SCRIPT
    + """
if not is_known() then return {} end
local since = redis.call('HGET', OFFSETS, 'since')
local from = since == ARGV[1] and ARGV[2] or '0'
local changed = redis.call('ZRANGEBYSCORE', CHANGED, '(' .. from, '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[3])
local answer = {since, changed[#changed] or from}
for at = 1, #changed, 2 do
  answer[#answer + 1] = changed[at]
  answer[#answer + 1] = redis.call('HGET', ACCOUNTS, changed[at])
end
return answer
"""
)

# ARGV: campaign. Answers with its account, '' if there is none yet, nothing while the accounts are not known.
ACCOUNT: Final = (
    ACCOUNT_SCRIPT
    + """
if not is_known() then return nil end
return redis.call('HGET', ACCOUNTS, ARGV[1]) or ''
"""
)

_UNKNOWN, _AWAY = b"unknown", b"away"
_SENTENCES: Final[Mapping[bytes, str]] = {
    b"budget": "The campaign's budget has no room for it: it is spent, or reserved for ads that may yet be shown.",
    b"daily_budget": "The campaign's budget of the day has no room for it.",
    b"past": "The day of the award is over, and its budget with it.",
    b"cap": "The person has met the campaign as often as its frequency cap allows, or may yet.",
    b"nobody": "The campaign has a frequency cap, and of the person nothing may be known.",
    _UNKNOWN: "What the campaign has spent is not known: the budgets are being read from the log.",
    _AWAY: "What the campaign has spent is not known: Redis does not answer.",
}

_log = structlog.get_logger(__name__)


class RedisBudgets:
    """Implements `ports.Budgets`. Works on a cluster: all budgets share a hash tag."""

    def __init__(self, pipeline: RedisPipeline, names: Names) -> None:
        self._pipeline = pipeline
        self._keys = names.budget_keys
        self._reserve, self._release = Script(RESERVE), Script(RELEASE)
        self._changes, self._account = Script(CHANGES), Script(ACCOUNT)
        self._states: dict[str, BudgetState] = {}
        self._are_known = False
        self._life, self._counter = b"", b"0"
        """Of the last answer about changes."""
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"RedisBudgets(campaigns={len(self._states)}, are_known={self._are_known})"

    @property
    def are_known(self) -> bool:
        return self._are_known

    @property
    def states(self) -> Mapping[str, BudgetState]:
        return self._states

    async def start(self) -> None:
        """Looks once, if Redis answers, and stays current from then on."""
        await self._look()
        self._task = asyncio.create_task(self._keep_current(), name="budgets")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def reserve(self, wanted: Sequence[Wanted]) -> Sequence[str | None]:
        """For each, None once it is reserved, or the sentence why it is not. Never raises; Redis away: refused."""
        words = await self._in_the_way("impression", wanted) if wanted else ()
        return [_SENTENCES[word] if word else None for word in words]

    async def charge_click(self, wanted: Wanted) -> Uncharged | None:
        """None once a click is reserved as an award would be, or why its campaign is not charged. Never raises."""
        [word] = await self._in_the_way("click", [wanted])
        if not word:
            return None
        return "budget_unknown" if word in (_UNKNOWN, _AWAY) else "no_budget"

    async def release(self, wanted: Sequence[Wanted]) -> None:
        """Gives back what was reserved for awards that are not going to be logged. Best effort: else it expires."""
        arguments = [
            part for each in wanted for part in (each.campaign_id, entry_id("impression", each.auction_id, each.imp_id))
        ]
        try:
            await self._pipeline.evaluate(self._release, self._keys, *arguments)
        except (RedisAway, RedisError) as error:
            _log.info("what was reserved stays so until it expires", awards=len(wanted), error=str(error))

    async def committed_nanos_of(self, campaign_id: str) -> int:
        """What a campaign has spent and reserved now. Raises Unavailable while that is not known."""
        return (await self.state_of(campaign_id)).committed_nanos

    async def state_of(self, campaign_id: str) -> BudgetState:
        """What a campaign has spent and reserved now. Raises Unavailable while that is not known."""
        try:
            account = await self._pipeline.evaluate(self._account, self._keys, campaign_id)
        except RedisError as error:
            raise Unavailable(f"Redis: {error}") from error
        if account is None:
            raise Unavailable("What campaigns have spent is not known: the budgets are being read from the log.")
        return _state(account) if account else NOTHING_SPENT

    async def _in_the_way(self, kind: EngagementKind, wanted: Sequence[Wanted]) -> Sequence[bytes]:
        """For each, a key of _SENTENCES, or nothing once it is reserved."""
        arguments = [part for each in wanted for part in _arguments(kind, each)]
        try:
            words: list[bytes] = await self._pipeline.evaluate(self._reserve, self._keys, *arguments)
        except (RedisAway, RedisError) as error:
            if not isinstance(error, RedisAway):
                _log.error("redis refused a reservation", error=str(error))
            self._are_known = False
            return [_AWAY] * len(wanted)
        return words

    async def _keep_current(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self._look()

    async def _look(self) -> None:
        try:
            while await self._read_changes() == CHANGES_MAX:
                pass
        except (RedisAway, RedisError):
            self._are_known = False

    async def _read_changes(self) -> int:
        """How many accounts have changed, of at most CHANGES_MAX."""
        answer: list[Any] = await self._pipeline.evaluate(
            self._changes, self._keys, self._life, self._counter, CHANGES_MAX
        )
        if not answer:
            self._are_known = False
            return 0
        life, self._counter, *pairs = answer
        if life != self._life:
            self._life, self._states = life, {}
        for campaign_id, account in zip(pairs[::2], pairs[1::2], strict=True):
            self._states[campaign_id.decode()] = _state(account)
        changed = len(pairs) // 2
        self._are_known = changed < CHANGES_MAX or self._are_known
        return changed


def _arguments(kind: EngagementKind, wanted: Wanted) -> tuple[str | int, ...]:
    cap, daily = wanted.frequency_cap, wanted.daily_budget_nanos
    return (
        wanted.campaign_id,
        entry_id(kind, wanted.auction_id, wanted.imp_id),
        str(wanted.nanos),
        day_of(wanted.at),
        str(int(wanted.expires_at.timestamp())),
        str(wanted.budget_nanos),
        "" if daily is None else str(daily),
        0 if cap is None else cap.impressions,
        0 if cap is None else cap.per_seconds,
        wanted.person,
        f"{wanted.at.timestamp():.6f}",
    )


def _state(account: bytes) -> BudgetState:
    """Of an account's words; see `domain/budget_account.py`."""
    spent, reserved, day, day_spent, day_reserved, _, _, _, impressions, clicks, _ = account.decode().split()
    day = "" if day == NO_DAY else day
    return BudgetState(int(spent), int(reserved), day, int(day_spent), int(day_reserved), int(impressions), int(clicks))
