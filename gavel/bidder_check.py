"""Tries a bidder and judges its answers with the code that auctions are held with.

A `fault` is what costs the bidder its bids; a `warning` costs it money or time; a `note` is good to know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from statistics import median
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

from commands.bidder_client import KeepAliveBidderClient
from commands.fan_out import GZIP_HEADERS, HEADERS, Headers, failed, understood
from commands.host_addresses import HostAddresses
from commands.ports import BidderAnswer, BidderFailed, BidderTimeout, BidderUnreachable
from commands.robots import is_known_robot
from domain.bid_rules.prices import NO_RATE
from domain.catalogue import Bidder
from domain.currency import NO_RATES, Rates
from domain.endpoint import endpoint_fault
from domain.errors import Fault, InvalidInput
from domain.event_parts import OtherBid
from domain.invitation import Invitation, invite
from domain.limits import ANSWER_RESERVE_MS, BASIS_POINTS
from domain.market import Market, RegisteredBidder
from domain.money import cpm_text, micros_from_decimal
from domain.openrtb.codes import LossReason
from domain.openrtb.http_answer import NO_CONTENT, OK
from domain.openrtb.offer import tmax_ms_of
from domain.openrtb.outbound import RequestsForBidders
from domain.openrtb.parse import parse_request
from domain.openrtb.restrictions import restrictions_of
from domain.outcomes import Missed, Outcome, Placed
from domain.sale import Sale, on_sale
from gavel.settings import variable

CALLS = 5
"""The first one opens the connection, the others show what an answer takes once it is open."""
CLOSE_TO_THE_LIMIT = 0.8
"""Of the time that the bidder has: beyond it, a busier moment makes it late."""
Level = Literal["fault", "warning", "note"]
_BEATEN = (LossReason.LOST_TO_HIGHER_BID, LossReason.LOST_TO_DEAL)


class Finding(msgspec.Struct, frozen=True):
    """One thing to know about the bidder."""

    level: Level
    what: str
    """A word for programs."""
    sentence: str


class JudgedBid(msgspec.Struct, frozen=True, kw_only=True):
    """What the exchange makes of one bid of the first answer."""

    imp_id: str
    bid_id: str
    price: str | None
    """CPM as stated, decimal text; null where it could not be read."""
    verdict: Literal["admitted", "beaten", "refused"]
    """`beaten` by a better bid of the same answer."""
    code: int
    """IAB loss reason; 0 for one that competes."""
    reason: str


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One of the calls."""

    status: int | None
    """Of HTTP; null where there was no answer in time."""
    latency_ms: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was found."""

    url: str
    ok: bool
    """Whether there is no fault."""
    time_ms: int
    """What the bidder had for each answer."""
    calls: tuple[Call, ...]
    findings: tuple[Finding, ...]
    bids: tuple[JudgedBid, ...]


class _Tried(NamedTuple):
    """One call, and what an auction would have made of it."""

    call: Call
    outcomes: dict[str, Outcome]
    answer: BidderAnswer | None
    failure: BidderFailed | None


async def check_bidder(
    url: str, request: bytes, *, allow_private: bool, accepts_gzip: bool, rates: Rates = NO_RATES
) -> Report:
    """Calls the bidder a few times with the request, as an auction would.

    `allow_private` is what the exchange allows; the check itself calls private addresses in any case.
    `rates` are the exchange's: what it lacks of them is no fault of the bidder's.
    Raises InvalidInput for a request that the exchange would refuse, or that it would show to no bidder, and for a
    URL that cannot be registered at all.
    """
    fault = endpoint_fault(url, allow_private=True)
    if fault is not None:
        raise InvalidInput([Fault("URL", fault)])
    terms = Bidder(name="the bidder", endpoint=url, accepts_gzip=accepts_gzip)
    sale, invitation = _invitation(request, RegisteredBidder("bidder", 1, "active", terms), rates)
    time_ms = tmax_ms_of(sale.request) - ANSWER_RESERVE_MS
    findings = await _address_findings(url, allow_private=allow_private)
    client = KeepAliveBidderClient(allow_private=True)
    try:
        tried = await _try(client, sale, invitation, time_ms)
        lateness = await _lateness(tried)
        connections = client.connections_opened
    finally:
        await client.close()
    findings += [*_failures(tried, invitation), *lateness]
    answered = next((each for each in tried if each.answer is not None), None)
    bids = () if answered is None else tuple(_judged(answered.outcomes))
    findings += _answer_findings(answered, bids)
    findings += _pace_findings(tried, connections, time_ms)
    return Report(
        url=url,
        ok=all(each.level != "fault" for each in findings),
        time_ms=time_ms,
        calls=tuple(each.call for each in tried),
        findings=tuple(findings),
        bids=bids,
    )


def _invitation(body: bytes, bidder: RegisteredBidder, rates: Rates) -> tuple[Sale, Invitation]:
    """What an exchange that knows nobody else would ask the bidder."""
    parsed = parse_request(body)
    market = Market(bidders=(bidder,), rates=rates)
    sale = on_sale(parsed.request, parsed.members, market, default_share_bps=BASIS_POINTS)
    device = parsed.request.device
    is_robot = device is not None and device.ua is not None and is_known_robot(device.ua)
    requests = RequestsForBidders(parsed, restrictions_of(parsed.request), sale)
    guests = invite(market.bidders, sale, requests, is_robot=is_robot)
    if not guests.invitations:
        reasons = {skip.reason for skip in guests.passed_over[0].skips.values()}
        raise InvalidInput(Fault("the request", f"no bidder would see it. {each}") for each in sorted(reasons))
    return sale, guests.invitations[0]


async def _address_findings(url: str, *, allow_private: bool) -> list[Finding]:
    """Whether the exchange, as it is set up, would call a host that it could call; what it never calls, calls show."""
    host = urlsplit(url).hostname or ""
    if allow_private or await _address_refusal(host, allow_private=True) is not None:
        return []
    refusal = await _address_refusal(host, allow_private=False)
    if refusal is None:
        return []
    sentence = f"{refusal}; an exchange calls it only with {variable('allow_private_endpoints')}."
    return [Finding("warning", "private_address", sentence)]


async def _address_refusal(host: str, *, allow_private: bool) -> str | None:
    hosts = HostAddresses(allow_private=allow_private)
    try:
        await hosts.of(host)
    except BidderUnreachable as refusal:
        return str(refusal)
    finally:
        await hosts.close()
    return None


async def _try(client: KeepAliveBidderClient, sale: Sale, invitation: Invitation, time_ms: int) -> list[_Tried]:
    """One call after the other; a bidder that cannot be reached is called once."""
    tried: list[_Tried] = []
    for _ in range(CALLS):
        tried.append(await _call(client, sale, invitation, time_ms))
        if isinstance(tried[-1].failure, BidderUnreachable):
            break
    return tried


async def _call(client: KeepAliveBidderClient, sale: Sale, invitation: Invitation, time_ms: int) -> _Tried:
    terms, template = invitation.bidder.terms, invitation.template
    headers: Headers = HEADERS
    body = template.body(time_ms)
    if terms.accepts_gzip:
        headers, body = GZIP_HEADERS, template.compressed_body(time_ms)
    now = asyncio.get_running_loop().time
    started = now()
    answer, failure = None, None
    try:
        answer = await client.post(terms.endpoint, headers, body, started + time_ms / 1000)
        outcomes = understood(answer, sale, invitation)
    except BidderFailed as error:
        failure = error
        outcomes = failed(error, sale, invitation.not_offered)
    call = Call(status=None if answer is None else answer.status, latency_ms=round((now() - started) * 1000, 1))
    return _Tried(call, outcomes, answer, failure)


async def _lateness(tried: Sequence[_Tried]) -> list[Finding]:
    """By how much the answers were late that came all the same."""
    waits = [each.failure.late for each in tried if isinstance(each.failure, BidderTimeout) and each.failure.late]
    answers = [late for wait in waits if (late := await wait) is not None]
    if not waits:
        return []
    if not answers:
        return [Finding("note", "never_answered", "No late answer came within the next seconds either.")]
    statuses = " and ".join(sorted({str(late.answer.status) for late in answers}))
    return [Finding("note", "answered_late", f"Of the late answers {len(answers)} came after all (status {statuses}).")]


def _failures(tried: Sequence[_Tried], invitation: Invitation) -> Iterator[Finding]:
    """What went wrong with whole answers, each kind once."""
    first_imp = invitation.imp_ids[0]
    kinds: dict[str, list[_Tried]] = {}
    for each in tried:
        outcome = each.outcomes[first_imp]
        if isinstance(outcome, Missed) and outcome.status in ("timeout", "error"):
            kinds.setdefault(outcome.reason, []).append(each)
    for reason, calls in kinds.items():
        if calls == tried[:1] and len(tried) > 1 and _is_late_in_connecting(calls[0]):
            sentence = "The first call is late, the others are not: opening the connection takes too long."
            yield Finding("warning", "slow_connection", sentence)
        else:
            sentence = f"{len(calls)} of {len(tried)} calls: {reason}"
            if _is_redirect(calls[0].answer):
                sentence += " Redirects are not followed: register the address that it leads to."
            yield Finding("fault", _kind_of(calls[0]), sentence)


def _kind_of(tried: _Tried) -> str:
    match tried.failure:
        case BidderTimeout():
            return "late"
        case BidderUnreachable():
            return "unreachable"
        case None:
            assert tried.answer is not None
            return "malformed" if tried.answer.status == OK else "status"
        case _:
            return "broken"


def _is_redirect(answer: BidderAnswer | None) -> bool:
    return answer is not None and HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST


def _is_late_in_connecting(tried: _Tried) -> bool:
    """The request was not even sent."""
    return isinstance(tried.failure, BidderTimeout) and tried.failure.late is None


def _answer_findings(answered: _Tried | None, bids: Sequence[JudgedBid]) -> Iterator[Finding]:
    """What the first answer says of bids."""
    if answered is None or answered.answer is None:
        return
    for bid in bids:
        if bid.verdict == "refused":
            sentence = f"The bid {bid.bid_id!r} for the imp {bid.imp_id!r} is refused (code {bid.code}): {bid.reason}"
            if bid.reason.endswith(NO_RATE):
                sentence += " An exchange with such a rate would compare it."
                yield Finding("warning", "no_rate", sentence)
            else:
                yield Finding("fault", "bid_refused", sentence)
    silent = [each for each in answered.outcomes.values() if isinstance(each, Missed) and each.status == "no_bid"]
    if bids or not silent:
        return
    yield Finding("note", "no_bid", f"{silent[0].reason} {_form_of_no_bid(answered.answer)}")


def _form_of_no_bid(answer: BidderAnswer) -> str:
    if answer.status == NO_CONTENT:
        return "It said so with the status 204, the shortest way."
    if not answer.body:
        return "It said so with an empty body; the status 204 says the same and is unmistakable."
    return "It said so with a response without bids; without a reason (nbr) the status 204 is shorter."


def _pace_findings(tried: Sequence[_Tried], connections: int, time_ms: int) -> Iterator[Finding]:
    """Whether connections are kept, and how close to the limit the answers are."""
    latencies = [each.call.latency_ms for each in tried if each.answer is not None]
    if len(latencies) < CALLS:
        return
    if connections > 1:
        yield Finding(
            "warning",
            "no_keep_alive",
            f"{len(tried)} calls took {connections} connections: the bidder does not keep them open, so that "
            "most calls pay for a new one.",
        )
    usual = median(latencies[1:])
    if connections == 1 and latencies[0] - usual > time_ms / 4:
        yield Finding(
            "warning",
            "slow_connection",
            f"The first call took {latencies[0]:.0f} ms, the others about {usual:.0f} ms: opening the connection is "
            "slow.",
        )
    if max(latencies[1:]) > CLOSE_TO_THE_LIMIT * time_ms:
        yield Finding(
            "warning", "close_to_the_limit", f"An answer took {max(latencies[1:]):.0f} ms of the {time_ms} ms it had."
        )


def _judged(outcomes: dict[str, Outcome]) -> Iterator[JudgedBid]:
    """Every bid of an answer."""
    for imp_id, outcome in outcomes.items():
        parsed = outcome.bid
        price = None if parsed is None else cpm_text(micros_from_decimal(parsed.bid.price))
        if isinstance(outcome, Placed):
            yield JudgedBid(
                imp_id=imp_id,
                bid_id=outcome.bid.bid.id,
                price=price,
                verdict="admitted",
                code=LossReason.WON,
                reason=f"It competes; the floor is {cpm_text(outcome.admitted.floor_micros)}.",
            )
        elif outcome.status == "refused":
            yield JudgedBid(
                imp_id=imp_id,
                bid_id=outcome.bid_id or "",
                price=price,
                verdict="refused",
                code=outcome.code,
                reason=outcome.reason,
            )
        yield from (_other(imp_id, each) for each in outcome.others)


def _other(imp_id: str, bid: OtherBid) -> JudgedBid:
    return JudgedBid(
        imp_id=imp_id,
        bid_id=bid.bid_id,
        price=None if bid.price_micros is None else cpm_text(bid.price_micros),
        verdict="beaten" if bid.code in _BEATEN else "refused",
        code=bid.code,
        reason=bid.reason,
    )
