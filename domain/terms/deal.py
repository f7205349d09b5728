"""A deal, as `/v1/deals` takes and shows it; its id, which bids name in `dealid`, may be chosen."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec

from domain import catalogue
from domain.errors import Fault
from domain.limits import CATALOGUE_LIST_MAX_ITEMS
from domain.money import micros_from_decimal
from domain.terms.fields import Cpm, Currency, Domain, EntityId, Many, Rule, Text
from domain.terms.floor_rule import cpm_of
from domain.terms.form import Form, Reference

_CURRENCY_PAIR = re.compile("[A-Z]{3}-[A-Z]{3}")


def _id_fault(value: str) -> str | None:
    if not value.strip("."):
        return "is made of dots only, which addresses do not keep"
    if _CURRENCY_PAIR.fullmatch(value):
        return "looks like a pair of currencies, which is the id of a rate"
    return None


DealId = Annotated[EntityId, Rule(_id_fault)]


class Deal(msgspec.Struct, frozen=True, kw_only=True):
    """A deal between publishers and buyers. Without `placement_ids` it covers all."""

    bidder_ids: Annotated[tuple[EntityId, ...], msgspec.Meta(min_length=1, max_length=CATALOGUE_LIST_MAX_ITEMS)]
    placement_ids: Annotated[tuple[EntityId, ...], Many] = ()
    floor_cpm: Cpm = Decimal("0.00")
    auction: catalogue.AuctionKind | Literal["fixed_price"] = "second_price"
    currency: Currency = "USD"
    wseat: Annotated[tuple[Text, ...], Many] = ()
    wadomain: Annotated[tuple[Domain, ...], Many] = ()


def _to_terms(stated: Deal) -> catalogue.Deal:
    fields = msgspec.structs.asdict(stated)
    del fields["floor_cpm"]
    return catalogue.Deal(floor_micros=micros_from_decimal(stated.floor_cpm), **fields)


def _to_stated(terms: catalogue.Deal) -> Deal:
    fields = msgspec.structs.asdict(terms)
    del fields["floor_micros"]
    return Deal(floor_cpm=cpm_of(terms.floor_micros), **fields)


def _references(terms: catalogue.Deal) -> Iterator[Reference]:
    for index, bidder_id in enumerate(terms.bidder_ids):
        yield Reference(f"bidder_ids[{index}]", "bidder", bidder_id)
    for index, placement_id in enumerate(terms.placement_ids):
        yield Reference(f"placement_ids[{index}]", "placement", placement_id)


def _rules(given: Mapping[str, Any]) -> Iterator[Fault]:
    if given.get("auction") == "fixed_price" and not Decimal(str(given.get("floor_cpm", 0))):
        yield Fault("floor_cpm", "is the agreed price of a fixed price deal, so it is above 0")


DEAL = Form(
    kind="deal",
    stated=Deal,
    terms=catalogue.Deal,
    to_terms=_to_terms,
    to_stated=_to_stated,
    references=_references,
    rules=_rules,
    id_type=DealId,
)
