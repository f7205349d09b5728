"""Asks bidders, all at the same time and within one deadline; a slow or broken one costs only its own bid."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import structlog

from commands.bidder_health import BidderHealth
from commands.late_answers import LateCall
from commands.ports import BidderAnswer, BidderBroken, BidderClient, BidderFailed, BidderTimeout, Clock
from commands.quota import Quota
from domain.invitation import ALL_OFFERED, Invitation
from domain.limits import BIDDER_FAIR_TIME_MS, BIDDER_TIME_MIN_MS
from domain.market import RegisteredBidder
from domain.openrtb.codes import NonBidStatus
from domain.openrtb.http_answer import Unusable, response_in
from domain.outcomes import Missed, Outcome, no_bid, outcomes_of, the_same_for_all_imps
from domain.sale import Sale
from domain.skip import NO_TIME, OVER_QUOTA, Skip

Headers = tuple[tuple[str, str], ...]
HEADERS: Final = (
    ("Content-Type", "application/json"),
    ("Accept", "application/json"),
    ("Accept-Encoding", "gzip"),
    ("x-openrtb-version", "2.6"),
)
GZIP_HEADERS: Final = (*HEADERS, ("Content-Encoding", "gzip"))
_log = structlog.get_logger(__name__)


class Asked(NamedTuple):
    """One bidder that was considered, and what became of it for every imp."""

    bidder: RegisteredBidder
    outcomes: dict[str, Outcome]
    latency_ms: float | None = None
    """From the call to the whole answer; None if it was not called."""
    tmax_ms: int | None = None
    """What the bidder was told."""
    sent: bytes | None = None
    """The request as the bidder reads it, unpacked."""
    late: LateCall | None = None
    """Where it was called in vain and is still waited for."""


class _Timing(NamedTuple):
    """When one bidder is called and how long it has."""

    asked_at: float
    """Monotonic seconds, as of `deadline`."""
    deadline: float
    tmax_ms: int


class FanOut:
    """Calls bidders and judges what they answer."""

    def __init__(self, *, client: BidderClient, quota: Quota, clock: Clock) -> None:
        self._client = client
        self._quota = quota
        self._clock = clock
        self._health = BidderHealth()

    async def __call__(
        self, auction_id: str, sale: Sale, invitations: Sequence[Invitation], deadline: float
    ) -> list[Asked]:
        """What became of each of the invited bidders, at least one, in the order in which they answered.

        Comes back by `deadline` (monotonic seconds). Raises nothing for whatever a bidder does.
        """
        answered: list[Asked] = []

        async def ask(invitation: Invitation) -> None:
            answered.append(await self._ask(auction_id, invitation, sale, deadline))

        # One bidder is asked by this task itself, and no `gather`: both would cost more than a bid's judgement.
        others = [asyncio.create_task(ask(invitation)) for invitation in invitations[1:]]
        try:
            await ask(invitations[0])
            for other in others:
                await other
        except BaseException:
            for other in others:
                other.cancel()
            raise
        return answered

    async def _ask(self, auction_id: str, invitation: Invitation, sale: Sale, deadline: float) -> Asked:
        bidder = invitation.bidder
        terms = bidder.terms
        spared = self._health.reason_to_spare(bidder.id, auction_id)
        if spared is not None:
            return skipped(bidder, sale, spared, invitation.not_offered)
        timing = self._timing(terms.timeout_ms, deadline)
        # What is counted is a call: none is made without the time for it.
        if timing is not None and terms.qps_limit is not None:
            if not await self._quota.allows_call(bidder.id, terms.qps_limit, self._clock.now()):
                return skipped(bidder, sale, OVER_QUOTA, invitation.not_offered)
            timing = self._timing(terms.timeout_ms, deadline)
        if timing is None:
            return skipped(bidder, sale, NO_TIME, invitation.not_offered)
        return await self._call(invitation, sale, timing)

    def _timing(self, timeout_ms: int | None, deadline: float) -> _Timing | None:
        """Of a call that begins now; None if too little time is left for one."""
        now = self._clock.monotonic()
        if timeout_ms is not None:
            deadline = min(deadline, now + timeout_ms / 1000)
        tmax_ms = int((deadline - now) * 1000)
        return _Timing(now, deadline, tmax_ms) if tmax_ms >= BIDDER_TIME_MIN_MS else None

    async def _call(self, invitation: Invitation, sale: Sale, timing: _Timing) -> Asked:
        asked_at, deadline, tmax_ms = timing
        bidder = invitation.bidder
        sent = body = invitation.template.body(tmax_ms)
        headers: Headers = HEADERS
        if bidder.terms.accepts_gzip:
            headers, body = GZIP_HEADERS, invitation.template.compressed_body(tmax_ms)
        late = None
        try:
            answer = await self._client.post(bidder.terms.endpoint, headers, body, deadline)
        except BidderTimeout as timeout:
            outcomes = failed(timeout, sale, invitation.not_offered)
            if tmax_ms >= BIDDER_FAIR_TIME_MS:
                self._health.called(bidder.id, failed=True)
            if timeout.late is not None:
                late = LateCall(timeout.late, asked_at)
        except BidderFailed as failure:
            outcomes = failed(failure, sale, invitation.not_offered)
            self._health.called(bidder.id, failed=True)
        else:
            outcomes = _judged(answer, sale, invitation)
            self._health.called(bidder.id, failed=_is_error(outcomes[invitation.imp_ids[0]]))
        latency_ms = round((self._clock.monotonic() - asked_at) * 1000, 3)
        return Asked(bidder, outcomes, latency_ms, tmax_ms, sent, late)


def skipped(bidder: RegisteredBidder, sale: Sale, skip: Skip, not_offered: Mapping[str, Skip] = ALL_OFFERED) -> Asked:
    """A bidder that was considered and not called; an imp that it was not to be asked for keeps its own reason."""
    return Asked(bidder, the_same_for_all_imps(sale, "skipped", skip.code, skip.reason, not_offered))


def failed(failure: BidderFailed, sale: Sale, not_offered: Mapping[str, Skip]) -> dict[str, Outcome]:
    """The outcomes of a bidder that gave no answer."""
    if isinstance(failure, BidderTimeout):
        reason = "The bidder did not answer in time."
        return the_same_for_all_imps(sale, "timeout", NonBidStatus.TIMEOUT, reason, not_offered)
    if isinstance(failure, BidderBroken):
        reason = f"The answer is broken: {failure}."
        return the_same_for_all_imps(sale, "error", NonBidStatus.INVALID_RESPONSE, reason, not_offered)
    reason = f"The bidder could not be reached: {failure}."
    return the_same_for_all_imps(sale, "error", NonBidStatus.UNREACHABLE, reason, not_offered)


def understood(answer: BidderAnswer, sale: Sale, invitation: Invitation) -> dict[str, Outcome]:
    """Judges a bidder's HTTP answer: an outcome for every imp of the sale."""
    response = response_in(answer.status, answer.body)
    if response is None:
        return no_bid(sale, None, invitation.not_offered)
    if isinstance(response, Unusable):
        return the_same_for_all_imps(sale, "error", response.code, response.reason, invitation.not_offered)
    return outcomes_of(response, sale, invitation)


def _judged(answer: BidderAnswer, sale: Sale, invitation: Invitation) -> dict[str, Outcome]:
    """As `understood`; an answer that nobody foresaw costs its bidder's bids and no other's."""
    try:
        return understood(answer, sale, invitation)
    except Exception:  # noqa: BLE001 - a defect of ours, and the other bidders' auction goes on
        _log.exception("an answer cannot be judged", bidder_id=invitation.bidder.id, request_id=sale.request.id)
        reason = "The answer could not be judged: the exchange failed at it."
        return the_same_for_all_imps(sale, "error", NonBidStatus.INVALID_RESPONSE, reason, invitation.not_offered)


def _is_error(outcome: Outcome) -> bool:
    return isinstance(outcome, Missed) and outcome.status == "error"
