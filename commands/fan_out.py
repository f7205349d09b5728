"""Asks bidders, all at the same time and within one deadline; a slow or broken one costs only its own bid."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from commands.ports import (
    BidderAnswer,
    BidderBroken,
    BidderClient,
    BidderFailed,
    BidderTimeout,
    Clock,
)
from commands.quota import Quota
from domain.errors import InvalidInput
from domain.invitation import ALL_OFFERED, Invitation
from domain.limits import BIDDER_TIME_MIN_MS
from domain.market import RegisteredBidder
from domain.openrtb.codes import NonBidStatus
from domain.openrtb.parse import parse_response
from domain.outcomes import Outcome, no_bid, outcomes_of, the_same_for_all_imps
from domain.sale import Sale
from domain.skip import NO_TIME, OVER_QUOTA, Skip

HEADERS: Final = (
    ("Content-Type", "application/json"),
    ("Accept", "application/json"),
    ("Accept-Encoding", "gzip"),
    ("x-openrtb-version", "2.6"),
)
_OK: Final = 200
_NO_CONTENT: Final = 204


class Asked(NamedTuple):
    """One bidder that was considered, and what became of it for every imp."""

    bidder: RegisteredBidder
    outcomes: dict[str, Outcome]
    latency_ms: float | None = None
    """From the call to the whole answer; None if it was not called."""
    tmax_ms: int | None = None
    """What the bidder was told."""


class FanOut:
    """Calls bidders and judges what they answer."""

    def __init__(self, *, client: BidderClient, quota: Quota, clock: Clock) -> None:
        self._client = client
        self._quota = quota
        self._clock = clock

    async def __call__(self, sale: Sale, invitations: Sequence[Invitation], deadline: float) -> list[Asked]:
        """What became of each of the invited bidders, at least one, in the order in which they answered.

        Comes back by `deadline` (monotonic seconds). Raises nothing for whatever a bidder does.
        """
        answered: list[Asked] = []

        async def ask(invitation: Invitation) -> None:
            answered.append(await self._ask(invitation, sale, deadline))

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

    async def _ask(self, invitation: Invitation, sale: Sale, deadline: float) -> Asked:
        bidder = invitation.bidder
        terms = bidder.terms
        if terms.qps_limit is not None and not await self._quota.allows_call(
            bidder.id, terms.qps_limit, self._clock.now()
        ):
            return skipped(bidder, sale, OVER_QUOTA, invitation.not_offered)
        asked_at = self._clock.monotonic()
        if terms.timeout_ms is not None:
            deadline = min(deadline, asked_at + terms.timeout_ms / 1000)
        tmax_ms = int((deadline - asked_at) * 1000)
        if tmax_ms < BIDDER_TIME_MIN_MS:
            return skipped(bidder, sale, NO_TIME, invitation.not_offered)
        try:
            answer = await self._client.post(terms.endpoint, HEADERS, invitation.template.body(tmax_ms), deadline)
        except BidderFailed as failure:
            outcomes = _failed(failure, sale, invitation.not_offered)
        else:
            outcomes = _understood(answer, sale, invitation)
        return Asked(bidder, outcomes, round((self._clock.monotonic() - asked_at) * 1000, 3), tmax_ms)


def skipped(bidder: RegisteredBidder, sale: Sale, skip: Skip, not_offered: Mapping[str, Skip] = ALL_OFFERED) -> Asked:
    """A bidder that was considered and not called; an imp that it was not to be asked for keeps its own reason."""
    return Asked(bidder, the_same_for_all_imps(sale, "skipped", skip.code, skip.reason, not_offered))


def _failed(failure: BidderFailed, sale: Sale, not_offered: Mapping[str, Skip]) -> dict[str, Outcome]:
    if isinstance(failure, BidderTimeout):
        reason = "The bidder did not answer in time."
        return the_same_for_all_imps(sale, "timeout", NonBidStatus.TIMEOUT, reason, not_offered)
    if isinstance(failure, BidderBroken):
        reason = f"The answer is broken: {failure}."
        return the_same_for_all_imps(sale, "error", NonBidStatus.INVALID_RESPONSE, reason, not_offered)
    reason = f"The bidder could not be reached: {failure}."
    return the_same_for_all_imps(sale, "error", NonBidStatus.UNREACHABLE, reason, not_offered)


def _understood(answer: BidderAnswer, sale: Sale, invitation: Invitation) -> dict[str, Outcome]:
    not_offered = invitation.not_offered
    if answer.status not in (_OK, _NO_CONTENT):
        reason = f"The bidder answered with the status {answer.status}."
        return the_same_for_all_imps(sale, "error", NonBidStatus.ERROR, reason, not_offered)
    if answer.status == _NO_CONTENT or not answer.body:
        return no_bid(sale, None, not_offered)
    try:
        response = parse_response(answer.body)
    except InvalidInput as fault:
        reason = f"The answer is not a bid response: {fault}."
        return the_same_for_all_imps(sale, "error", NonBidStatus.INVALID_RESPONSE, reason, not_offered)
    return outcomes_of(response, sale, invitation)
