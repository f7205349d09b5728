"""A placement, as `/v1/placements` takes and shows it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated

import msgspec

from domain import catalogue
from domain.money import micros_from_decimal
from domain.terms.fields import Code, Cpm, Currency, Domain, EntityId, Many, Number, Size, Text
from domain.terms.floor_rule import FloorRule, cpm_of, repeated_rules, rules_to_stated, rules_to_terms
from domain.terms.form import Form, Reference


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """An ad space, named by `imp.tagid`."""

    publisher_id: EntityId
    name: Text
    sizes: Annotated[tuple[Size, ...], Many]
    floor_cpm: Cpm = Decimal("0.00")
    auction: catalogue.AuctionKind = "second_price"
    currency: Currency = "USD"
    floor_rules: Annotated[tuple[FloorRule, ...], Many] = ()
    badv: Annotated[tuple[Domain, ...], Many] = ()
    bcat: Annotated[tuple[Code, ...], Many] = ()
    cattax: Number = 1
    battr: Annotated[tuple[Number, ...], Many] = ()
    bapp: Annotated[tuple[Text, ...], Many] = ()
    required_bid_fields: Annotated[tuple[catalogue.RequiredField, ...], Many] = ()
    house_ads: Annotated[tuple[catalogue.HouseAd, ...], Many] = ()


def _to_terms(stated: Placement) -> catalogue.Placement:
    fields = msgspec.structs.asdict(stated)
    del fields["floor_cpm"]
    fields["floor_rules"] = rules_to_terms(stated.floor_rules, stated.currency)
    return catalogue.Placement(floor_micros=micros_from_decimal(stated.floor_cpm), **fields)


def _to_stated(terms: catalogue.Placement) -> Placement:
    fields = msgspec.structs.asdict(terms)
    del fields["floor_micros"]
    fields["floor_rules"] = rules_to_stated(terms.floor_rules)
    return Placement(floor_cpm=cpm_of(terms.floor_micros), **fields)


def _references(terms: catalogue.Placement) -> Iterator[Reference]:
    yield Reference("publisher_id", "publisher", terms.publisher_id)


PLACEMENT = Form(
    kind="placement",
    stated=Placement,
    terms=catalogue.Placement,
    to_terms=_to_terms,
    to_stated=_to_stated,
    references=_references,
    rules=repeated_rules,
)
