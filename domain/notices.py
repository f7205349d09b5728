"""Which notices the events of an auction give, their macros filled: OpenRTB 2.6 sections 4.1.2, 4.4 and 7.8.

`nurl` when the bid won, `lurl` with its reason when it lost or was refused, `burl` once its ad was seen: after the
first impression that is valid. A loser learns what it would have had to bid and never the price. A test has none.

They can be found piece by piece: the events of a topic in their order, those of the two topics in any. A notice is
the same one when it is found again (`Notice.key`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias, get_args

import msgspec

from domain.endpoint import authority_of, url_as_sent
from domain.event_parts import NoticeKind, NoticeUrls, Viewer
from domain.events import AuctionAwarded, AuctionUnsold, BidPlaced, BidRefused, BidRequested, Event, ImpressionRecorded
from domain.loss import Loss, loss_beside, loss_of
from domain.macros import Macros, fill
from domain.openrtb.codes import LossReason

Decision: TypeAlias = AuctionAwarded | AuctionUnsold
Source: TypeAlias = BidRequested | BidPlaced | BidRefused | Decision | ImpressionRecorded
SOURCES: tuple[type[Event], ...] = get_args(Source)
"""The types that notices follow from."""
_NO_REQUEST = msgspec.Raw(b"null")


class NoticeKey(NamedTuple):
    """What makes a notice the same one."""

    auction_id: str
    outcome_id: str
    """The event that tells of the bid."""
    place: int
    """0 for the bid that the event is about, 1 and more for its `other_bids`."""
    kind: NoticeKind


class Receiver(NamedTuple):
    """One host of one bidder: another bidder that names the same host takes nothing away from it."""

    bidder_id: str
    host: str
    """Name and port; empty for an address that cannot be called."""


class Notice(msgspec.Struct, frozen=True):
    """A notice that is due."""

    key: NoticeKey
    imp_id: str
    bidder_id: str
    bid_id: str
    url: str
    """Filled, and written as it goes over the wire."""
    viewer: Viewer | None = None
    """Of the impression that is billed."""

    @property
    def receiver(self) -> Receiver:
        return Receiver(self.bidder_id, authority_of(self.url))


class ClaimedNotice(NamedTuple):
    """A notice that one notifier works on, for as long as its lease."""

    notice: Notice
    attempt: int
    """1 for the first."""


def trimmed(event: Event) -> Source | None:
    """The event with no more than notices need; None if none can follow from it."""
    if isinstance(event, BidRequested):
        return None if event.test or event.robot else msgspec.structs.replace(event, request=_NO_REQUEST)
    if isinstance(event, BidPlaced | BidRefused):
        tells = event.notices is not None or any(each.notices is not None for each in event.other_bids)
        return event if tells and not event.test else None
    if isinstance(event, ImpressionRecorded):
        return event if event.verdict == "valid" and event.viewer is not None else None
    return event if isinstance(event, Decision) and not event.test else None


def notices_of(events: Iterable[Event]) -> list[Notice]:
    """The notices of one auction, as far as its events are known; SOURCES are all that count."""
    story = _Story(events)
    return list(story.notices()) if story.request is not None else []


def still_needed(events: Iterable[Event]) -> list[Source]:
    """Those of one auction's events that a notice can still follow from, once others are known."""
    story = _Story(events)
    if story.request is None or not story.is_decided:
        return story.events
    waiting: list[Source] = []
    for bid in story.placed:
        decision = story.decisions.get(bid.imp_id)
        if decision is not None and story.waits_for_impression(bid, decision):
            waiting += [bid, decision]
    return [story.request, *waiting] if waiting else []


class _Told(NamedTuple):
    """One bid inside an outcome."""

    outcome: BidPlaced | BidRefused
    place: int
    bid_id: str
    seat: str
    urls: NoticeUrls
    code: int | None
    """Why it is not in the ranking, where it is not."""


def _bids_of(outcome: BidPlaced | BidRefused) -> Iterator[_Told]:
    """The bids that have addresses for notices."""
    if outcome.notices is not None:
        code = outcome.code if isinstance(outcome, BidRefused) else None
        yield _Told(outcome, 0, outcome.bid_id or "", outcome.seat, outcome.notices, code)
    for place, other in enumerate(outcome.other_bids, start=1):
        if other.notices is not None:
            yield _Told(outcome, place, other.bid_id, other.seat, other.notices, other.code)


class _Story:
    """The events of one auction, sorted by what they tell."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.events = [kept for each in events if (kept := trimmed(each)) is not None]
        self.request: BidRequested | None = None
        self.placed: list[BidPlaced] = []
        self.refused: list[BidRefused] = []
        self.decisions: dict[str, Decision] = {}
        self.impressions: dict[str, ImpressionRecorded] = {}
        for event in self.events:
            if isinstance(event, BidRequested):
                self.request = event
            elif isinstance(event, BidPlaced):
                self.placed.append(event)
            elif isinstance(event, BidRefused):
                self.refused.append(event)
            elif isinstance(event, ImpressionRecorded):
                self.impressions.setdefault(event.imp_id, event)
            else:
                self.decisions[event.imp_id] = event

    @property
    def is_decided(self) -> bool:
        """Every event of the auction itself is known: the decisions are the last of their topic."""
        assert self.request is not None
        return all(imp.imp_id in self.decisions for imp in self.request.imps)

    def waits_for_impression(self, bid: BidPlaced, decision: Decision) -> bool:
        wants_billing = bid.notices is not None and bid.notices.burl is not None
        return wants_billing and _is_won(bid, decision) and bid.imp_id not in self.impressions

    def notices(self) -> Iterator[Notice]:
        for refused in self.refused:
            for told in _bids_of(refused):
                assert told.code is not None
                yield from self._lost(told, Loss(told.code, None))
        for placed in self.placed:
            decision = self.decisions.get(placed.imp_id)
            if decision is not None:
                for told in _bids_of(placed):
                    yield from self._decided(placed, told, decision)

    def _decided(self, bid: BidPlaced, told: _Told, decision: Decision) -> Iterator[Notice]:
        if told.code is not None:
            yield from self._lost(told, loss_beside(told.code, decision))
        elif isinstance(decision, AuctionAwarded) and _is_won(bid, decision):
            yield from self._won(bid, told, decision)
        else:
            yield from self._lost(told, loss_of(bid, decision))

    def _won(self, bid: BidPlaced, told: _Told, award: AuctionAwarded) -> Iterator[Notice]:
        macros = msgspec.structs.replace(
            self._macros(told),
            bid_price_micros=bid.price_micros,
            clearing_price_micros=award.clearing_price_micros,
            min_to_win_micros=award.min_to_win_micros,
            loss_code=LossReason.WON,
        )
        if told.urls.nurl is not None:
            yield _notice("win", told, told.urls.nurl, macros)
        impression = self.impressions.get(bid.imp_id)
        if told.urls.burl is not None and impression is not None:
            seen = msgspec.structs.replace(macros, imp_timestamp_ms=int(impression.at.timestamp() * 1000))
            yield _notice("billing", told, told.urls.burl, seen, viewer=impression.viewer)

    def _lost(self, told: _Told, loss: Loss) -> Iterator[Notice]:
        if told.urls.lurl is not None:
            macros = msgspec.structs.replace(
                self._macros(told), loss_code=loss.code, min_to_win_micros=loss.min_to_win_micros
            )
            yield _notice("loss", told, told.urls.lurl, macros)

    def _macros(self, told: _Told) -> Macros:
        assert self.request is not None
        outcome = told.outcome
        return Macros(
            request_id=self.request.request_id,
            imp_id=outcome.imp_id,
            response_bid_id=told.urls.response_bid_id,
            seat_id=told.seat,
            ad_id=told.urls.ad_id,
            currency=outcome.currency,
            stated=outcome.stated if isinstance(outcome, BidPlaced) else None,
            multiplier=told.urls.multiplier,
        )


def _is_won(bid: BidPlaced, decision: Decision) -> bool:
    return isinstance(decision, AuctionAwarded) and decision.bidder_id == bid.bidder_id


def _notice(kind: NoticeKind, told: _Told, url: str, macros: Macros, *, viewer: Viewer | None = None) -> Notice:
    return Notice(
        key=NoticeKey(told.outcome.auction_id, told.outcome.id, told.place, kind),
        imp_id=told.outcome.imp_id,
        bidder_id=told.outcome.bidder_id,
        bid_id=told.bid_id,
        # What follows a # is for browsers and never sent.
        url=url_as_sent(fill(url.partition("#")[0], macros, in_url=True)),
        viewer=viewer,
    )
