"""A placement, as `/v1/placements` takes and shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from domain import catalogue
from domain.errors import Fault
from domain.money import micros_from_decimal
from domain.terms.fields import Code, Cpm, Currency, Domain, EntityId, Many, Number, Size, Text
from domain.terms.floor_rule import FloorRule, cpm_of, repeated_rules, rules_to_stated, rules_to_terms
from domain.terms.form import Form, Reference
from domain.terms.house_ad import HouseAd, house_ad_faults, house_ads_to_stated, house_ads_to_terms


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
    house_ads: Annotated[tuple[HouseAd, ...], Many] = ()


def _to_terms(stated: Placement) -> catalogue.Placement:
    fields = msgspec.structs.asdict(stated)
    del fields["floor_cpm"]
    fields["floor_rules"] = rules_to_terms(stated.floor_rules, stated.currency)
    fields["house_ads"] = house_ads_to_terms(stated.house_ads)
    return catalogue.Placement(floor_micros=micros_from_decimal(stated.floor_cpm), **fields)


def _to_stated(terms: catalogue.Placement) -> Placement:
    fields = msgspec.structs.asdict(terms)
    del fields["floor_micros"]
    fields["floor_rules"] = rules_to_stated(terms.floor_rules)
    fields["house_ads"] = house_ads_to_stated(terms.house_ads)
    return Placement(floor_cpm=cpm_of(terms.floor_micros), **fields)


def _references(terms: catalogue.Placement) -> Iterator[Reference]:
    yield Reference("publisher_id", "publisher", terms.publisher_id)


def _rules(given: Mapping[str, Any]) -> Iterator[Fault]:
    yield from repeated_rules(given)
    yield from house_ad_faults(given)


PLACEMENT = Form(
    kind="placement",
    stated=Placement,
    terms=catalogue.Placement,
    to_terms=_to_terms,
    to_stated=_to_stated,
    references=_references,
    rules=_rules,
)
