"""An auction of the past decided again from its events, by the code that live auctions run.

What decides stands in the log: the order in which bids came in is the order of their events, and each states its
price, its floor, its deal's rule and its group. So the award of any auction can be checked, however old it is.
Events from before floors and shares were written down are completed from the request that was logged with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from domain.auction import Candidate, rank
from domain.award import Award, Decision, decide
from domain.errors import Refusal
from domain.events import AuctionAwarded, AuctionUnsold, BidPlaced, BidRequested, Event
from domain.money import InvalidPrice, micros_from_text

DECIDING = (BidRequested, BidPlaced, AuctionAwarded, AuctionUnsold)
"""The types of events that a replay reads; all others tell more of the story and change nothing."""
DIGEST_BYTES = 16

ImpDecided = AuctionAwarded | AuctionUnsold


class CannotReplay(Refusal):
    """The log does not hold what it takes to decide the auction again."""


class Difference(msgspec.Struct, frozen=True):
    """A figure of the log that the replay does not confirm."""

    imp_id: str
    figure: str
    """A field of AuctionAwarded or AuctionUnsold; `type` where one was logged and the other decided."""
    logged: Any
    replayed: Any


class ImpReplay(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One imp as it was decided again; money in micros of the auction's currency."""

    imp_id: str
    bidder_id: str | None = None
    """None: unsold, and so is all below but `withdrawn`."""
    bid_id: str | None = None
    seat: str | None = None
    deal_id: str | None = None
    price_micros: int | None = None
    clearing_price_micros: int | None = None
    revenue_micros: int | None = None
    fee_micros: int | None = None
    auction_type: int | None = None
    ranking: tuple[str, ...] = ()
    min_to_win_micros: int | None = None
    withdrawn: tuple[str, ...] = ()


class AuctionReplay(msgspec.Struct, frozen=True):
    """An auction decided again, and where the log says something else."""

    auction_id: str
    currency: str
    imps: tuple[ImpReplay, ...]
    differences: tuple[Difference, ...]

    @property
    def digest(self) -> int:
        """Of everything that was decided; equal decisions have equal digests, in every process and on every machine."""
        return int.from_bytes(blake2b(_encode((self.auction_id, self.imps)), digest_size=DIGEST_BYTES).digest(), "big")


def replay(events: Iterable[Event]) -> AuctionReplay:
    """Decides again from one auction's events, in the order of the log.

    Raises CannotReplay when the request or the decision about an imp is not among them.
    """
    auction = _Auction()
    for event in events:
        auction.take(event)
    return auction.replayed()


class Replays(msgspec.Struct):
    """What a replay of many auctions found."""

    auctions: int = 0
    imps: int = 0
    sold: int = 0
    bids: int = 0
    mismatches: int = 0
    """Auctions whose decision was not confirmed."""
    digest_sum: int = 0

    def add(self, auction: AuctionReplay, bids: int) -> None:
        self.auctions += 1
        self.imps += len(auction.imps)
        self.sold += sum(each.bidder_id is not None for each in auction.imps)
        self.bids += bids
        self.mismatches += bool(auction.differences)
        self.digest_sum += auction.digest

    @property
    def digest(self) -> str:
        """One number for all decisions; a sum, so that it does not depend on how partitions were interleaved."""
        return f"{self.digest_sum % (1 << 8 * DIGEST_BYTES):0{2 * DIGEST_BYTES}x}"


class Replayer:
    """Takes the events of many auctions in the order of the log and decides each as soon as it is complete."""

    def __init__(self) -> None:
        self.found = Replays()
        self._open: dict[str, _Auction] = {}

    def __repr__(self) -> str:
        return f"Replayer({self.found.auctions} auctions, {len(self._open)} undecided)"

    @property
    def undecided(self) -> Sequence[str]:
        """Auctions of which the log, so far, lacks the request or a decision."""
        return tuple(self._open)

    def take(self, event: Event) -> AuctionReplay | None:
        """The auction that this event completes; all that is kept of an auction is forgotten with it.

        One that cannot be decided again counts as not confirmed and says why.
        """
        assert isinstance(event, DECIDING)
        auction = self._open.get(event.auction_id)
        if auction is None:
            auction = self._open[event.auction_id] = _Auction()
        auction.take(event)
        if not auction.is_complete:
            return None
        del self._open[event.auction_id]
        try:
            replayed = auction.replayed()
        except CannotReplay as error:
            replayed = AuctionReplay(event.auction_id, "", (), (Difference("", "request", "", str(error)),))
        self.found.add(replayed, len(auction.bids))
        return replayed


class _Auction:
    """One auction's events, sorted out."""

    def __init__(self) -> None:
        self.request: BidRequested | None = None
        self.bids: dict[str, BidPlaced] = {}
        self.decided: dict[str, ImpDecided] = {}

    @property
    def is_complete(self) -> bool:
        return self.request is not None and len(self.decided) >= len(self.request.imps)

    def take(self, event: Event) -> None:
        """An event that a retry logged twice counts once."""
        if isinstance(event, BidPlaced):
            self.bids.setdefault(event.id, event)
        elif isinstance(event, ImpDecided):
            self.decided.setdefault(event.imp_id, event)
        elif isinstance(event, BidRequested):
            self.request = event

    def replayed(self) -> AuctionReplay:
        request = self.request
        if request is None:
            raise CannotReplay("The log does not hold the auction's request.")
        missing = [each.imp_id for each in request.imps if each.imp_id not in self.decided]
        if missing:
            raise CannotReplay(f"The log holds no decision about imp {', '.join(missing)}.")
        candidates: dict[str, list[Candidate]] = {}
        floors = _Floors(request)
        for arrival, bid in enumerate(self.bids.values()):
            candidates.setdefault(bid.imp_id, []).append(_candidate(bid, arrival, floors))
        decision = decide(
            {imp_id: rank(bids) for imp_id, bids in candidates.items()},
            request.auction_type,
            # Where the share was not written down yet, the logged one is checked by its sum alone.
            {each.imp_id: each.share_bps or 0 for each in request.imps},
        )
        imps: list[ImpReplay] = []
        differences: list[Difference] = []
        for each in request.imps:
            logged = self.decided.get(each.imp_id)
            again = _imp(each.imp_id, decision, logged, has_share=each.share_bps is not None)
            imps.append(again)
            if logged is not None:
                differences += _differences(again, logged)
        return AuctionReplay(request.auction_id, request.currency, tuple(imps), tuple(differences))


_encode = msgspec.json.Encoder().encode


# -- from events to candidates ---------------------------------------------------------------------


class _Terms(NamedTuple):
    floor_micros: int
    deal_at: int | None


class _Floors:
    """Floors and deals' rules of bids that do not state them: the imp's, or, in old events, those of the request."""

    def __init__(self, request: BidRequested) -> None:
        self._request = request
        self._imps = {each.imp_id: each for each in request.imps}

    def of(self, bid: BidPlaced) -> _Terms:
        if bid.floor_micros is not None:
            return _Terms(bid.floor_micros, bid.deal_at)
        imp = self._imps.get(bid.imp_id)
        if bid.deal_id is not None and (imp is None or all(each.deal_id != bid.deal_id for each in imp.deals)):
            old = self._in_request(bid)
            if old is not None:
                return old
        return _Terms(0 if imp is None else imp.floor_micros, bid.deal_at)

    def _in_request(self, bid: BidPlaced) -> _Terms | None:
        """Events once did not tell which deals an imp could be bought under; their floors were in its currency."""
        for imp in _decode_request(self._request).imp:
            for deal in imp.pmp.deals if imp.id == bid.imp_id and imp.pmp is not None else ():
                if deal.id == bid.deal_id:
                    return _Terms(_micros(deal.bidfloor), deal.at)
        return None


def _candidate(bid: BidPlaced, arrival: int, floors: _Floors) -> Candidate:
    floor_micros, deal_at = floors.of(bid)
    return Candidate(
        bid.bidder_id, bid.bid_id, bid.seat, bid.price_micros, floor_micros, bid.deal_id, deal_at, arrival, bid.group
    )


class _Deal(msgspec.Struct):
    id: str
    bidfloor: msgspec.Raw = msgspec.Raw(b"0")
    at: int | None = None


class _Pmp(msgspec.Struct):
    deals: tuple[_Deal, ...] = ()


class _Imp(msgspec.Struct):
    id: str
    pmp: _Pmp | None = None


class _Request(msgspec.Struct):
    imp: tuple[_Imp, ...]


_request_decoder = msgspec.json.Decoder(_Request)


def _decode_request(request: BidRequested) -> _Request:
    try:
        return _request_decoder.decode(request.request)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CannotReplay(f"The logged request of the auction {request.auction_id} is not one: {error}.") from error


def _micros(number: msgspec.Raw) -> int:
    """A price as the request states it, through its decimal text."""
    try:
        return micros_from_text(bytes(number).decode())
    except InvalidPrice as error:
        raise CannotReplay(f"A floor in the logged request is not one: {error}.") from error


# -- what was decided, and what the log says ---------------------------------------------------------


def _imp(imp_id: str, decision: Decision, logged: ImpDecided | None, *, has_share: bool) -> ImpReplay:
    award = decision.awards.get(imp_id)
    withdrawn = decision.withdrawn.get(imp_id, ())
    if award is None:
        return ImpReplay(imp_id=imp_id, withdrawn=withdrawn)
    revenue, fee = award.revenue_micros, award.fee_micros
    if not has_share and isinstance(logged, AuctionAwarded):
        revenue, fee = logged.revenue_micros, award.clearing.price_micros - logged.revenue_micros
    return ImpReplay(
        imp_id=imp_id,
        bidder_id=award.winner.bidder_id,
        bid_id=award.winner.bid_id,
        seat=award.winner.seat,
        deal_id=award.winner.deal_id,
        price_micros=award.winner.price_micros,
        clearing_price_micros=award.clearing.price_micros,
        revenue_micros=revenue,
        fee_micros=fee,
        auction_type=award.clearing.auction_type,
        ranking=_bidders(award),
        min_to_win_micros=award.clearing.min_to_win_micros,
        withdrawn=withdrawn,
    )


def _bidders(award: Award) -> tuple[str, ...]:
    return tuple(each.bidder_id for each in award.ranking)


_FIGURES = tuple(name for name in ImpReplay.__struct_fields__ if name != "imp_id")


def _differences(again: ImpReplay, logged: ImpDecided) -> Iterable[Difference]:
    if isinstance(logged, AuctionUnsold):
        if again.bidder_id is not None:
            yield Difference(again.imp_id, "type", "auction_unsold", "auction_awarded")
        if again.withdrawn != logged.withdrawn:
            yield Difference(again.imp_id, "withdrawn", logged.withdrawn, again.withdrawn)
        return
    if again.bidder_id is None:
        yield Difference(again.imp_id, "type", "auction_awarded", "auction_unsold")
        return
    for figure in _FIGURES:
        was, now = getattr(logged, figure), getattr(again, figure)
        # Awards were logged without it once.
        if was != now and not (figure == "min_to_win_micros" and was is None):
            yield Difference(again.imp_id, figure, was, now)
