"""Says when the budgets are known, and ends the reservations that nothing can come of any more.

Both follow from how far the log has been applied, never from a clock alone. Kafka is asked where the log ends; once
the projection `budgets` has applied all of it, it knows whatever was logged by the moment of the question. A projector
that is behind, a Kafka that does not answer, or clocks that contradict each other lead to reservations that stay.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Final

import structlog

from domain.budget_account import ACCOUNT_SCRIPT
from domain.errors import LogUnavailable, Unavailable
from domain.limits import BUDGET_GRACE_SECONDS, BUDGET_IN_FLIGHT_SECONDS
from projections.backoff import Backoff
from projections.redis_store import answering, offset_field
from projections.servers import Servers

LOOK_S: Final = 0.25
ENDED_MAX: Final = 1_000
"""Entries that one script call takes away: it holds up everybody else while it runs."""

# ARGV: when Kafka was asked, in Unix seconds; how long before that a server's life must have begun; the grace, or ''
# where nothing may be released; ENDED_MAX; then for each partition its field, where it ends, and 1 for engagements.
# Answers with the number of entries that have ended.
SETTLE: Final = (
    ACCOUNT_SCRIPT
    + """
local asked_at, in_flight, grace, ended_max = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]

-- What this has put there before, and nobody else.
local function has_marks()
  return redis.call('HEXISTS', ACCOUNTS, '') + redis.call('HEXISTS', HELD, '') > 0
    or redis.call('ZSCORE', ENDS, '') or redis.call('ZSCORE', CHANGED, '')
end

-- A server in another life may have forgotten the last reservations, one that evicts has: what of it stands in the log
-- is read again, and awards that were on their way there are waited for. Whatever is left over goes first: accounts
-- without their offsets would be booked a second time.
local run = run_id()
local was_met = redis.call('HEXISTS', OFFSETS, 'run') == 1
if was_met and not is_whole() or not was_met and has_marks() then redis.call('DEL', unpack(KEYS)) end
if redis.call('HGET', OFFSETS, 'run') ~= run then
  redis.call('HDEL', OFFSETS, 'known')
  redis.call('HSET', OFFSETS, 'run', run, 'since', string.format('%d.%06d', unpack(redis.call('TIME'))))
  -- So that a key that is missing is one that was lost.
  redis.call('HSET', ACCOUNTS, '', '')
  redis.call('HSET', HELD, '', '')
  redis.call('ZADD', ENDS, '+inf', '')
  redis.call('ZADD', CHANGED, 0, '')
end

local all_applied, until_when = true, asked_at
for at = 5, #ARGV, 3 do
  local applied = tonumber(redis.call('HGET', OFFSETS, ARGV[at]) or -1) >= tonumber(ARGV[at + 1])
  all_applied = all_applied and applied
  if ARGV[at + 2] == '1' and not applied then
    local logged_ms = redis.call('HGET', OFFSETS, 'logged_ms:' .. ARGV[at]) or 0
    until_when = math.min(until_when, logged_ms / 1000)
  end
end
-- Where the log tells of no campaign, nobody had one to reserve for.
if redis.call('HLEN', ACCOUNTS) == 1 then in_flight = 0 end
if all_applied and asked_at >= tonumber(redis.call('HGET', OFFSETS, 'since')) + in_flight then
  redis.call('HSET', OFFSETS, 'known', run)
end
if grace == '' then return 0 end

-- Of what was released before no more is believed than the clock allows now: it may have been wrong for a moment.
local released_until = tonumber(redis.call('HGET', OFFSETS, 'released_until') or 0)
until_when = math.min(math.max(until_when - grace, released_until), asked_at - grace)
redis.call('HSET', OFFSETS, 'released_until', string.format('%.3f', until_when))
local ended = redis.call('ZRANGEBYSCORE', ENDS, '-inf', until_when, 'LIMIT', 0, ended_max)
for _, id in ipairs(ended) do
  let_go(id)
  redis.call('HDEL', HELD, id)
  redis.call('ZREM', ENDS, id)
end
return #ended
"""
)
TIME = "return redis.call('TIME')"
"""A script, for in a cluster it is asked of the server that has the keys."""

log = structlog.stdlib.get_logger(__name__)


class BudgetSettlement:
    """Runs beside the projection `budgets`; several at a time do no harm."""

    def __init__(
        self,
        servers: Servers,
        *,
        grace_s: float = BUDGET_GRACE_SECONDS,
        in_flight_s: float = BUDGET_IN_FLIGHT_SECONDS,
    ) -> None:
        self._watermarks = servers.watermarks
        self._names = servers.names
        self._grace_s = grace_s
        self._in_flight_s = in_flight_s
        self._settle = servers.redis.register_script(SETTLE)
        self._time = servers.redis.register_script(TIME)
        self._kafka_answers_since: float | None = None
        """While it did not, pixels went to spools, which take a while to reach the log."""
        self._do_clocks_agree = True

    async def run(self, stop: asyncio.Event) -> None:
        """Until stopped. Waits for servers that are away."""
        backoff = Backoff()
        while not stop.is_set():
            try:
                while await self.settle() == ENDED_MAX:
                    pass
            except Unavailable as error:
                if isinstance(error, LogUnavailable):
                    self._kafka_answers_since = None
                log.warning("budgets wait for a server", error=str(error))
                await backoff.wait(stop)
                continue
            backoff.reset()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await stop.wait()

    async def settle(self) -> int:
        """How many entries have ended, of at most ENDED_MAX. Raises LogUnavailable, Unavailable."""
        async with answering():
            # Of the server that has the accounts: a life of it is dated by its own clock.
            seconds, micros = map(int, await self._time(keys=self._names.budget_keys[:1]))
        ahead_s = seconds + micros / 1e6 - time.time()
        high = await self._watermarks.high((self._names.auctions, self._names.engagements))
        now = time.monotonic()
        if self._kafka_answers_since is None:
            self._kafka_answers_since = now
        is_calm = now - self._kafka_answers_since >= self._grace_s and self._is_believable(ahead_s)
        partitions = [
            part
            for tp, end in high.items()
            for part in (offset_field(tp), end, int(tp.topic == self._names.engagements))
        ]
        async with answering():
            return int(
                await self._settle(
                    keys=self._names.budget_keys,
                    args=[
                        f"{seconds}.{micros:06}",
                        self._in_flight_s,
                        # Reservations end by the earlier of both clocks.
                        self._grace_s + max(0.0, ahead_s) if is_calm else "",
                        ENDED_MAX,
                        *partitions,
                    ],
                )
            )

    def _is_believable(self, ahead_s: float) -> bool:
        """Whether Redis's clock and this one could both be right."""
        agree = abs(ahead_s) <= BUDGET_GRACE_SECONDS
        if agree is not self._do_clocks_agree:
            self._do_clocks_agree = agree
            if not agree:
                log.warning("clocks disagree: no budget is released", redis_is_ahead_s=round(ahead_s, 3))
        return agree
