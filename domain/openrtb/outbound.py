"""The copies of a bid request that go to the bidders: all that the publisher said, unknown fields included.

Where nobody may learn who the person is, `minimised` has taken ids and precise place out. What the catalogue brings,
floors, sizes, deals, block lists, auction type and publisher, is written into the request, so that a bidder needs to
know nothing else.
"""

from __future__ import annotations

import zlib
from functools import cached_property
from typing import Final

import msgspec

from domain.market import RegisteredBidder
from domain.openrtb.minimised import members_for_bidders
from domain.openrtb.offer import DEFAULT_CURRENCY, auction_type_of, publisher_id_of
from domain.openrtb.outbound_blocks import lists_told
from domain.openrtb.outbound_imp import imp_for_bidder
from domain.openrtb.parse import Members, ParsedRequest
from domain.openrtb.restrictions import Restriction
from domain.sale import Sale

_GZIP_LEVEL: Final = 1
"""Already half the size; higher levels cost more of the auction's time than they save."""
_GZIP_WINDOW: Final = 31
"""The largest window of zlib, with the header and trailer of gzip around it."""
_CHANNELS = ("site", "app", "dooh")
_Deals = tuple[tuple[str, ...], ...]
"""Ids of the registered deals that a bidder is offered, imp by imp; empty: none for any."""
_encode = msgspec.json.Encoder().encode
_decode_imps = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_members_or_null = msgspec.json.Decoder(Members | None).decode


class BidderRequestTemplate(msgspec.Struct, frozen=True, dict=True):
    """The request as bidders get it, all but the number at its end."""

    head: bytes
    """An object, up to and including `"tmax":`."""

    def body(self, tmax_ms: int) -> bytes:
        """The request for a bidder that has `tmax_ms` left."""
        return b"%b%d}" % (self.head, tmax_ms)

    def compressed_body(self, tmax_ms: int) -> bytes:
        """The same in gzip; the head is compressed once for all bidders."""
        start, compressor = self._compressed_head
        rest = compressor.copy()
        return start + rest.compress(b"%d}" % tmax_ms) + rest.flush()

    @cached_property
    def _compressed_head(self) -> tuple[bytes, zlib._Compress]:
        compressor = zlib.compressobj(level=_GZIP_LEVEL, wbits=_GZIP_WINDOW)
        return compressor.compress(self.head), compressor


class RequestsForBidders:
    """What the bidders of one auction are told; those that are told the same share one template."""

    def __init__(self, parsed: ParsedRequest, restricted_by: tuple[Restriction, ...], sale: Sale) -> None:
        self._sale = sale
        self._members = members_for_bidders(parsed, restricted_by)
        self._members.pop("tmax", None)
        self._imps: dict[str, msgspec.Raw] = {}
        self._is_catalogued = any(
            each.placement is not None or each.registered_deals.deals or not each.floor.is_requested
            for each in sale.imps.values()
        )
        if self._is_catalogued:
            self._name_publisher()
            self._name_auction_type()
        self._templates: dict[tuple[tuple[str, ...], _Deals, str], BidderRequestTemplate] = {}

    def __repr__(self) -> str:
        return f"RequestsForBidders(templates={len(self._templates)})"

    def template(self, bidder: RegisteredBidder, imp_ids: tuple[str, ...]) -> BidderRequestTemplate:
        """The request for this bidder with these imps of it, at least one, in the request's order."""
        deals = self._deals_of(bidder.id, imp_ids) if self._is_catalogued else ()
        key = (imp_ids, deals, self._further_currency(bidder.terms.currency))
        template = self._templates.get(key)
        if template is None:
            template = self._templates[key] = self._encoded(*key)
        return template

    def _deals_of(self, bidder_id: str, imp_ids: tuple[str, ...]) -> _Deals:
        imps = self._sale.imps
        deals = tuple(imps[imp_id].registered_deals.ids_of_bidder.get(bidder_id, ()) for imp_id in imp_ids)
        return deals if any(deals) else ()

    def _further_currency(self, currency: str) -> str:
        """The bidder's own where bids in it can be converted and the publisher does not list it; else nothing."""
        sale = self._sale
        if currency == sale.currency or currency in (sale.request.cur or ()):
            return ""
        return currency if sale.rates.between(currency, sale.currency) is not None else ""

    def _encoded(self, imp_ids: tuple[str, ...], deals: _Deals, further_currency: str) -> BidderRequestTemplate:
        members = self._members
        if self._is_catalogued or len(imp_ids) != len(self._sale.imps):
            members = members | {"imp": msgspec.Raw(_encode(self._imps_told(imp_ids, deals)))}
        if self._is_catalogued:
            members = members | self._lists_told(imp_ids)
        if further_currency:
            currencies = [*(self._sale.request.cur or (DEFAULT_CURRENCY,)), further_currency]
            members = members | {"cur": msgspec.Raw(_encode(currencies))}
        return BidderRequestTemplate(_encode(members)[:-1] + b',"tmax":')

    def _imps_told(self, imp_ids: tuple[str, ...], deals: _Deals) -> list[msgspec.Raw]:
        sale = self._sale
        if not self._imps:
            self._imps = dict(zip(sale.imps, _decode_imps(self._members["imp"]), strict=True))
        if not self._is_catalogued:
            return [self._imps[imp_id] for imp_id in imp_ids]
        return [
            imp_for_bidder(self._imps[imp_id], sale.imps[imp_id], sale, deals[place] if deals else ())
            for place, imp_id in enumerate(imp_ids)
        ]

    def _lists_told(self, imp_ids: tuple[str, ...]) -> Members:
        """The request's block lists with what the placements of all these imps block too."""
        placements = [self._sale.imps[imp_id].placement for imp_id in imp_ids]
        terms = [each.terms for each in placements if each is not None]
        return lists_told(self._sale.request, terms) if len(terms) == len(imp_ids) else {}

    def _name_auction_type(self) -> None:
        """Says which price will be paid, where placements decide on it: without it the default would count."""
        if self._sale.auction_type != auction_type_of(self._sale.request):
            self._members["at"] = msgspec.Raw(_encode(self._sale.auction_type))

    def _name_publisher(self) -> None:
        """Says whose inventory it is, where the request does not and all imps are of one publisher."""
        publisher_ids = {each.inventory.publisher_id for each in self._sale.imps.values()}
        channel = next((name for name in _CHANNELS if getattr(self._sale.request, name) is not None), None)
        if channel is None or len(publisher_ids) != 1 or publisher_id_of(self._sale.request):
            return
        members = _decode_members_or_null(self._members[channel]) or {}
        publisher = _decode_members_or_null(members.get("publisher", msgspec.Raw(b"null"))) or {}
        publisher["id"] = msgspec.Raw(_encode(publisher_ids.pop()))
        self._members[channel] = msgspec.Raw(_encode(members | {"publisher": msgspec.Raw(_encode(publisher))}))
