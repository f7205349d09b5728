"""Holds an auction: one bid request in, one answer out, everything that happened in between in the log first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from commands.auction_debug import debug_ext
from commands.direct_bidder import DirectBidder, DirectStanding, Occasion
from commands.fan_out import Asked, FanOut
from commands.late_answers import Decided, LateAnswers
from commands.ports import (
    BidderClient,
    Budgets,
    Catalogue,
    Clock,
    Ids,
    Position,
    Ranked,
    Ranking,
    RefusingLog,
    Segments,
)
from commands.quota import Quota
from commands.robots import compile_list, is_known_robot
from domain.answer import AddressBook, AnsweredAuction, Sold, answer, no_bid_answer
from domain.auction import Candidate
from domain.auction_events import AuctionStory
from domain.audience import NOT_ASKED, Audience
from domain.award import Award, Decision, decide
from domain.direct.bidder import DIRECT_ID
from domain.errors import LogUnavailable, Overloaded
from domain.event_parts import OutcomeStatus
from domain.invitation import Guests, PassedOver, invite
from domain.limits import ANSWER_RESERVE_MS, AUCTIONS_IN_FLIGHT_MAX, BUDGET_IN_FLIGHT_SECONDS
from domain.market import Market
from domain.names import Names
from domain.openrtb.codes import NoBidReason
from domain.openrtb.minimised import request_for_log
from domain.openrtb.offer import tmax_ms_of
from domain.openrtb.outbound import RequestsForBidders
from domain.openrtb.parse import ParsedRequest, parse_request
from domain.openrtb.request import BidRequest
from domain.openrtb.restrictions import Restriction, restrictions_of
from domain.outcomes import Outcome, Placed, skipped_imp
from domain.sale import Sale, on_sale
from domain.seat_non_bid import is_asked_for, seat_non_bids
from domain.tokens import TokenKey
from domain.viewing import viewing_of

OK = 200
NO_CONTENT = 204


class AuctionResult(NamedTuple):
    auction_id: str
    status: int
    """200 with a bid response, 204 without a body."""
    body: bytes
    outcomes: tuple[Literal["won", "lost"] | OutcomeStatus, ...]
    """One per bidder considered and imp."""
    logged_at: Position | None = None
    """Of its last event; None until it is logged."""


class HoldAuction:
    """`POST /openrtb2/auction`."""

    def __init__(
        self,
        *,
        log: RefusingLog,
        names: Names,
        ranking: Ranking,
        catalogue: Catalogue,
        bidder_client: BidderClient,
        quota: Quota,
        late_answers: LateAnswers,
        clock: Clock,
        ids: Ids,
        base_url: str,
        token_key: Callable[[], TokenKey],
        pseudonym_key: Callable[[], bytes],
        publisher_share_bps: int,
        budgets: Budgets,
        segments: Segments,
        is_robot: Callable[[str], bool] = is_known_robot,
    ) -> None:
        """`base_url` is where viewers reach the exchange.

        `token_key` tells the key that addresses are signed with now, `pseudonym_key` the one that hides people's ids,
        `is_robot` what the lists in force say of a user agent.
        """
        self._log = log
        self._topic = names.auctions
        self._catalogue = catalogue
        self._fan_out = FanOut(client=bidder_client, quota=quota, clock=clock)
        self._late_answers = late_answers
        self._ranking = ranking
        self._clock = clock
        self._ids = ids
        self._base_url = base_url
        self._token_key = token_key
        self._pseudonym_key = pseudonym_key
        self._publisher_share_bps = publisher_share_bps
        self._direct = DirectBidder(budgets=budgets, clock=clock)
        self._segments = segments
        self._is_robot = is_robot
        self._in_flight = 0
        compile_list()

    def __repr__(self) -> str:
        return f"HoldAuction(in_flight={self._in_flight})"

    async def __call__(self, body: bytes, *, received_at_monotonic: float) -> AuctionResult:
        """The answer, once every event of the auction is acknowledged.

        Raises InvalidInput with every fault of the request, Overloaded at once when too many auctions are under
        way, LogUnavailable when the auction cannot be logged.
        """
        if self._in_flight >= AUCTIONS_IN_FLIGHT_MAX:
            raise Overloaded(f"{AUCTIONS_IN_FLIGHT_MAX} auctions are under way already.")
        self._in_flight += 1
        try:
            return await self._hold(parse_request(body), received_at_monotonic)
        finally:
            self._in_flight -= 1

    async def _hold(self, parsed: ParsedRequest, received_at: float) -> AuctionResult:
        market = self._catalogue.market
        sale = on_sale(parsed.request, parsed.members, market, default_share_bps=self._publisher_share_bps)
        auction_id = self._ids()
        self._log.check(self._topic, auction_id)
        story = AuctionStory(auction_id, test=sale.is_test, new_id=self._ids)
        tmax_ms = tmax_ms_of(sale.request)
        restricted_by = restrictions_of(sale.request)
        for_log = request_for_log(parsed, self._pseudonym_key(), restricted_by)
        is_robot = _is_robot(sale.request, self._is_robot)
        requested_at = self._clock.now()
        audience = await self._audience(market, sale, restricted_by, is_robot=is_robot)
        story.requested(
            sale,
            for_log,
            at=requested_at,
            tmax_ms=tmax_ms,
            robot=is_robot,
            restricted_by=restricted_by,
            segments=audience.read,
        )
        requests = RequestsForBidders(parsed, restricted_by, sale)
        guests = invite(market.bidders, sale, requests, is_robot=is_robot)
        viewing = viewing_of(sale.request, self._pseudonym_key(), restricted_by)
        direct = None
        if market.direct:
            direct = self._direct.bid(market.direct, Occasion(auction_id, sale, viewing.person, is_robot, audience))
        asked = await self._ask(auction_id, sale, guests, received_at + (tmax_ms - ANSWER_RESERVE_MS) / 1000)
        if direct is not None:
            asked.insert(0, direct.asked)
        deciding_since = self._clock.monotonic()
        ranked, decision, decided_at = await self._decide(auction_id, sale, asked, direct)
        held_ms = round((self._clock.monotonic() - received_at) * 1000, 3)
        _tell(story, sale, asked, decision, ranked, at=decided_at, held_ms=held_ms)
        # Written before it is logged: what cannot be answered must not be in the log as sold.
        # A robot is told nothing, whatever its request asks for.
        ext = {} if is_robot else _response_ext(sale, asked, decision, ranked, held_ms=held_ms)
        addresses = AddressBook(self._base_url, self._token_key())
        result = _result(AnsweredAuction(sale, auction_id, decided_at, viewing, addresses), asked, decision.awards, ext)
        position = await self._append(auction_id, story, direct)
        self._check_reservations(decision.awards, deciding_since)
        for each in asked:
            if each.late is not None:
                auction = Decided(auction_id, sale.request.id, story.events[0].id, sale.is_test)
                self._late_answers.expect(auction, each.bidder.id, each.late)
        return result._replace(logged_at=position)

    async def _audience(
        self, market: Market, sale: Sale, restricted_by: tuple[Restriction, ...], *, is_robot: bool
    ) -> Audience:
        """Looked up only where it may find a campaign that bids."""
        if not market.direct.sought.clients or not self._direct.may_bid(sale, is_robot=is_robot):
            return NOT_ASKED
        return await self._segments(market, sale.request, restricted_by)

    async def _decide(
        self, auction_id: str, sale: Sale, asked: Sequence[Asked], direct: DirectStanding | None
    ) -> tuple[Ranked, Decision, datetime]:
        """The decision, and when it was made; what it awards to campaigns is reserved."""
        shares = {imp_id: each.share_bps for imp_id, each in sale.imps.items()}
        while True:
            ranked = await self._rank(auction_id, asked)
            decision = decide(ranked.by_imp, sale.auction_type, shares)
            decided_at = self._clock.now()
            # Each refusal takes a campaign out of the auction, so that this comes to an end.
            if direct is None or await direct.reserve(decision.awards, at=decided_at):
                return ranked, decision, decided_at

    async def _append(self, auction_id: str, story: AuctionStory, direct: DirectStanding | None) -> Position:
        try:
            return await self._log.append(self._topic, auction_id, story.events)
        except Overloaded:
            # Nothing of it will be written. After any other failure it may be, so that the reservations stay.
            if direct is not None:
                await direct.give_back()
            raise

    def _check_reservations(self, awards: Mapping[str, Award], since: float) -> None:
        """Raises LogUnavailable for an auction that a campaign won too long ago, as of a process that was suspended.

        Redis may have lost the reservation meanwhile, and the budget may have been read from the log without it. An ad
        that is never answered costs nothing.
        """
        is_old = self._clock.monotonic() - since > BUDGET_IN_FLIGHT_SECONDS
        if is_old and any(award.winner.bidder_id == DIRECT_ID for award in awards.values()):
            raise LogUnavailable("The auction was logged so late that its campaign's reservation is not sure any more.")

    async def _ask(self, auction_id: str, sale: Sale, guests: Guests, deadline: float) -> list[Asked]:
        """Every bidder of the catalogue: the skipped ones first, the others in the order of their answers."""
        asked = [_not_asked(each) for each in guests.passed_over]
        if guests.invitations:
            asked += await self._fan_out(auction_id, sale, guests.invitations, deadline)
        return asked

    async def _rank(self, auction_id: str, asked: Sequence[Asked]) -> Ranked:
        candidates: dict[str, list[Candidate]] = {}
        for arrival, each in enumerate(asked):
            for imp_id, outcome in each.outcomes.items():
                if isinstance(outcome, Placed):
                    candidates.setdefault(imp_id, []).append(_candidate(each.bidder.id, outcome, arrival))
        return await self._ranking.rank(auction_id, candidates)


def _result(
    auction: AnsweredAuction, asked: Sequence[Asked], awards: Mapping[str, Award], ext: Mapping[str, Any]
) -> AuctionResult:
    auction_id, sale = auction.auction_id, auction.sale
    outcomes = tuple(
        _status(each.bidder.id, outcome, awards.get(imp_id))
        for each in asked
        for imp_id, outcome in each.outcomes.items()
    )
    if awards:
        by_bidder = _by_bidder(asked)
        sold = [Sold(award, _placed(award, by_bidder)) for award in awards.values()]
        return AuctionResult(auction_id, OK, answer(auction, sold, ext), outcomes)
    if ext:
        return AuctionResult(auction_id, OK, no_bid_answer(sale, NoBidReason.UNKNOWN, ext), outcomes)
    return AuctionResult(auction_id, NO_CONTENT, b"", outcomes)


def _response_ext(
    sale: Sale, asked: Sequence[Asked], decision: Decision, ranked: Ranked, *, held_ms: float
) -> dict[str, Any]:
    """What the request asks to be told beyond the bids; mostly nothing."""
    ext: dict[str, Any] = {}
    if sale.is_test:
        ext |= debug_ext(asked, decision, ranked_by=ranked.ranked_by, held_ms=held_ms)
    if is_asked_for(sale.request):
        ext["seatnonbid"] = seat_non_bids((each.bidder, each.outcomes) for each in asked)
    return ext


def _is_robot(request: BidRequest, is_robot: Callable[[str], bool]) -> bool:
    user_agent = request.device.ua if request.device is not None else None
    return user_agent is not None and is_robot(user_agent)


def _not_asked(passed_over: PassedOver) -> Asked:
    return Asked(passed_over.bidder, {imp_id: skipped_imp(skip) for imp_id, skip in passed_over.skips.items()})


def _candidate(bidder_id: str, placed: Placed, arrival: int) -> Candidate:
    admitted = placed.admitted
    deal = admitted.deal
    return Candidate(
        bidder_id,
        placed.bid.bid.id,
        placed.bid.seat,
        admitted.price_micros,
        admitted.floor_micros,
        None if deal is None else deal.id,
        None if deal is None else deal.at,
        arrival,
        placed.group,
    )


def _status(bidder_id: str, outcome: Outcome, award: Award | None) -> Literal["won", "lost"] | OutcomeStatus:
    if not isinstance(outcome, Placed):
        return outcome.status
    return "won" if award is not None and award.winner.bidder_id == bidder_id else "lost"


def _by_bidder(asked: Sequence[Asked]) -> dict[str, dict[str, Outcome]]:
    return {each.bidder.id: each.outcomes for each in asked}


def _placed(award: Award, by_bidder: Mapping[str, Mapping[str, Outcome]]) -> Placed:
    outcome = by_bidder[award.winner.bidder_id][award.imp_id]
    assert isinstance(outcome, Placed), "an award goes to a bid of the ranking"
    return outcome


def _tell(
    story: AuctionStory,
    sale: Sale,
    asked: Sequence[Asked],
    decision: Decision,
    ranked: Ranked,
    *,
    at: datetime,
    held_ms: float,
) -> None:
    """The outcomes in the order of arrival, then what became of each imp."""
    for each in asked:
        story.bidder(each.bidder.id, each.outcomes, sale, at=at, latency_ms=each.latency_ms)
    by_bidder = _by_bidder(asked)
    for imp_id, for_sale in sale.imps.items():
        award, withdrawn = decision.awards.get(imp_id), decision.withdrawn.get(imp_id, ())
        if award is not None:
            story.awarded(
                award,
                _placed(award, by_bidder),
                sale,
                withdrawn=withdrawn,
                at=at,
                held_ms=held_ms,
                ranked_by=ranked.ranked_by,
            )
        else:
            story.unsold(for_sale, _why_unsold(asked, withdrawn), withdrawn=withdrawn, at=at, held_ms=held_ms)


def _why_unsold(asked: Sequence[Asked], withdrawn: Sequence[str]) -> str:
    if withdrawn:
        return "Every bid stepped back, because its group could not win as a whole."
    return "No bidder had a valid bid." if asked else "No bidder is registered."
