"""An imp as bidders are told of it: what the publisher said, and what the catalogue says more."""

from __future__ import annotations

from typing import Any

import msgspec

from domain.currency import floor_converted
from domain.deals import DealOnSale
from domain.floors import Floor
from domain.money import cpm_number
from domain.openrtb.outbound_blocks import media_told
from domain.openrtb.parse import Members
from domain.openrtb.request import Deal
from domain.sale import ImpOnSale, Sale

_encode = msgspec.json.Encoder().encode
_decode_members = msgspec.json.Decoder(Members).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


def imp_for_bidder(raw: msgspec.Raw, for_sale: ImpOnSale, sale: Sale, deal_ids: tuple[str, ...]) -> msgspec.Raw:
    """The imp, unknown fields included; `raw`, as it came, where the catalogue says nothing more of it.

    `deal_ids` are the registered deals that this bidder may bid under; it learns of no other registered one.
    """
    members: dict[str, Any] = {}
    told = _floor(for_sale, sale)
    if told is not None:
        members["bidfloor"], members["bidfloorcur"] = told
    imp = _decode_members(raw)
    placement = for_sale.placement
    if placement is not None and placement.terms.battr:
        members |= media_told(for_sale.imp, imp, placement.terms.battr)
    if placement is not None and for_sale.brings_sizes:
        sizes = [{"w": width, "h": height} for width, height in placement.terms.sizes]
        banner = members.get("banner") or _decode_members(imp["banner"])
        members["banner"] = banner | {"format": msgspec.Raw(_encode(sizes))}
    if for_sale.registered_deals.deals:
        pmp = _pmp(imp.get("pmp"), for_sale, sale.currency, deal_ids)
        if pmp["deals"] or "pmp" in imp:
            members["pmp"] = pmp
    return msgspec.Raw(_encode(imp | members)) if members else raw


def _floor(for_sale: ImpOnSale, sale: Sale) -> tuple[float, str] | None:
    """The floor and its currency where they are not the imp's own."""
    floor, imp = for_sale.floor, for_sale.imp
    if floor.micros == 0 or floor.is_requested:
        return None
    micros, currency = _as_stated(floor, sale.currency)
    by_ad = for_sale.floors_by_ad
    if by_ad is not None and by_ad.by_duration and currency != imp.bidfloorcur:
        # The imp's currency is that of its floors by duration too.
        rate = sale.rates.between(currency, imp.bidfloorcur)
        if rate is None:
            return None
        micros, currency = floor_converted(micros, rate), imp.bidfloorcur
    return cpm_number(micros), currency


def _pmp(raw: msgspec.Raw | None, for_sale: ImpOnSale, currency: str, deal_ids: tuple[str, ...]) -> dict[str, Any]:
    """The private marketplace with the deals that this bidder may use."""
    pmp: dict[str, Any] = dict(_decode_members(raw)) if raw is not None and bytes(raw) != b"null" else {}
    stated = for_sale.imp.pmp.deals or () if for_sale.imp.pmp is not None else ()
    told: list[Any] = []
    for deal, each in zip(stated, _decode_list(pmp["deals"]) if stated else (), strict=True):
        on_sale = for_sale.deals[deal.id]
        if not on_sale.is_registered:
            told.append(each)
        elif deal.id in deal_ids and on_sale.bidder_ids:
            told.append(_decode_members(each) | _narrowed(deal, on_sale, currency))
    own = {deal.id for deal in stated}
    told += [_deal(for_sale.deals[deal_id], currency) for deal_id in deal_ids if deal_id not in own]
    return pmp | {"deals": told}


def _deal(deal: DealOnSale, currency: str) -> dict[str, Any]:
    micros, stated_in = _as_stated(deal.floor, currency)
    told: dict[str, Any] = {"id": deal.id, "bidfloor": cpm_number(micros), "bidfloorcur": stated_in, "at": deal.at}
    if deal.wseat:
        told["wseat"] = deal.wseat
    if deal.wadomain:
        told["wadomain"] = deal.wadomain
    return told


def _narrowed(stated: Deal, deal: DealOnSale, currency: str) -> dict[str, Any]:
    """What the catalogue's bounds change of a deal that the request states; floors by duration stay as they are."""
    told = _deal(deal, currency)
    if stated.durfloors or stated.mincpmpersec:
        del told["bidfloor"], told["bidfloorcur"]
    return told


def _as_stated(floor: Floor, currency: str) -> tuple[int, str]:
    if floor.stated is not None:
        return floor.stated.price_micros, floor.stated.currency
    return floor.micros or 0, currency
