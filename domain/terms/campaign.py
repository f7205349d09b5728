"""A campaign, as `/v1/campaigns` takes and shows it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec

from domain import catalogue
from domain.endpoint import is_public_name
from domain.errors import Fault
from domain.limits import (
    BUDGET_MAX_NANOS,
    CLICK_BID_MAX_NANOS,
    FREQUENCY_IMPRESSIONS_MAX,
    FREQUENCY_WINDOW_MAX_SECONDS,
)
from domain.money import amount_text, micros_from_decimal, nanos_from_decimal
from domain.terms.feed_client import feed_client_id
from domain.terms.fields import (
    Budget,
    Country,
    Cpc,
    Cpm,
    Currency,
    DeviceType,
    EntityId,
    Many,
    Rule,
    Text,
)
from domain.terms.floor_rule import cpm_of
from domain.terms.form import Form, Reference

YEARS: Final = range(2000, 2100)
"""Of a flight: others are slips of the pen."""
_APP_STORE_ID: Final = re.compile("[0-9]{6,12}")
_FIRST_INSTANT: Final = datetime(YEARS.start, 1, 1, tzinfo=UTC)
_INSTANTS_END: Final = datetime(YEARS.stop, 1, 1, tzinfo=UTC)


def _instant_fault(value: datetime) -> str | None:
    return None if _FIRST_INSTANT <= value < _INSTANTS_END else f"is not in the years {YEARS[0]} to {YEARS[-1]}, UTC"


def _site_fault(value: str) -> str | None:
    if is_public_name(value) or _APP_STORE_ID.fullmatch(value):
        return None
    return "is neither the name of a website nor that of an app: its bundle or its number in Apple's store"


Bid = Annotated[Cpm, Rule(lambda value: None if value else "is not above 0")]
Site = Annotated[
    str,
    Rule(_site_fault),
    msgspec.Meta(description="A website's domain, with all below it, or an app's bundle."),
]
Instant = Annotated[datetime, msgspec.Meta(tz=True, description="RFC 3339."), Rule(_instant_fault)]


class FrequencyCap(msgspec.Struct, frozen=True):
    """So many impressions for one person within any so many seconds."""

    impressions: Annotated[int, msgspec.Meta(ge=1, le=FREQUENCY_IMPRESSIONS_MAX)]
    per_seconds: Annotated[int, msgspec.Meta(ge=1, le=FREQUENCY_WINDOW_MAX_SECONDS)]


class SegmentTarget(msgspec.Struct, frozen=True):
    """Persons whom a feed client has put into a segment."""

    client: Text
    segment: Text


class Targeting(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a campaign is for. An absent list means: all."""

    countries: Annotated[tuple[Country, ...], Many] = ()
    placement_ids: Annotated[tuple[EntityId, ...], Many] = ()
    device_types: Annotated[tuple[DeviceType, ...], Many] = ()
    sites: Annotated[tuple[Site, ...], Many] = ()
    segments: Annotated[tuple[SegmentTarget, ...], Many] = ()


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    """What an advertiser wants shown to whom, up to what sum: it pays `bid_cpm` at most, or `bid_cpc` for a click."""

    advertiser_id: EntityId
    name: Text
    bid_cpm: Bid | None = None
    bid_cpc: Cpc | None = None
    budget: Budget
    currency: Currency = "USD"
    daily_budget: Budget | None = None
    starts_at: Instant | None = None
    ends_at: Instant | None = None
    pacing: catalogue.Pacing = "even"
    frequency_cap: FrequencyCap | None = None
    targeting: Targeting = Targeting()


def _to_terms(stated: Campaign) -> catalogue.Campaign:
    cap = stated.frequency_cap
    return catalogue.Campaign(
        advertiser_id=stated.advertiser_id,
        name=stated.name,
        bid_micros=micros_from_decimal(stated.bid_cpm) if stated.bid_cpm else 0,
        click_bid_nanos=nanos_from_decimal(stated.bid_cpc, CLICK_BID_MAX_NANOS) if stated.bid_cpc else 0,
        budget_nanos=nanos_from_decimal(stated.budget, BUDGET_MAX_NANOS),
        currency=stated.currency,
        daily_budget_nanos=nanos_from_decimal(stated.daily_budget, BUDGET_MAX_NANOS) if stated.daily_budget else None,
        starts_at=_text_of(stated.starts_at),
        ends_at=_text_of(stated.ends_at),
        pacing=stated.pacing,
        frequency_cap=catalogue.FrequencyCap(cap.impressions, cap.per_seconds) if cap else None,
        targeting=msgspec.convert(msgspec.to_builtins(stated.targeting), catalogue.Targeting),
    )


def _to_stated(terms: catalogue.Campaign) -> Campaign:
    cap, daily = terms.frequency_cap, terms.daily_budget_nanos
    return Campaign(
        advertiser_id=terms.advertiser_id,
        name=terms.name,
        bid_cpm=cpm_of(terms.bid_micros) if terms.bid_micros else None,
        bid_cpc=_amount_of(terms.click_bid_nanos) if terms.click_bid_nanos else None,
        budget=_amount_of(terms.budget_nanos),
        currency=terms.currency,
        daily_budget=None if daily is None else _amount_of(daily),
        starts_at=instant_of(terms.starts_at),
        ends_at=instant_of(terms.ends_at),
        pacing=terms.pacing,
        frequency_cap=FrequencyCap(cap.impressions, cap.per_seconds) if cap else None,
        targeting=msgspec.convert(msgspec.to_builtins(terms.targeting), Targeting),
    )


def _amount_of(nanos: int) -> Decimal:
    return Decimal(amount_text(nanos))


def instant_of(text: str | None) -> datetime | None:
    """When a flight starts or ends, UTC."""
    return None if text is None else msgspec.convert(text, datetime)


def _text_of(instant: datetime | None) -> str | None:
    return None if instant is None else msgspec.to_builtins(instant.astimezone(UTC))


def _references(terms: catalogue.Campaign) -> Iterator[Reference]:
    yield Reference("advertiser_id", "advertiser", terms.advertiser_id)
    for index, placement_id in enumerate(terms.targeting.placement_ids):
        yield Reference(f"targeting.placement_ids[{index}]", "placement", placement_id)
    for index, target in enumerate(terms.targeting.segments):
        client = target.client
        yield Reference(f"targeting.segments[{index}].client", "feed_client", feed_client_id(client), client)


def _rules(given: Mapping[str, Any]) -> Iterator[Fault]:
    if {"budget", "daily_budget"} <= given.keys():
        budget, daily = (Decimal(str(given[name])) for name in ("budget", "daily_budget"))
        if daily > budget:
            yield Fault("daily_budget", f"is above the whole budget of {budget}")
    for name in ("budget", "daily_budget"):
        if {"bid_cpc", name} <= given.keys() and Decimal(str(given["bid_cpc"])) > Decimal(str(given[name])):
            yield Fault("bid_cpc", f"is above the {name} of {given[name]}, which would have no room for one click")
    if {"starts_at", "ends_at"} <= given.keys():
        starts_at, ends_at = (msgspec.convert(given[name], datetime) for name in ("starts_at", "ends_at"))
        if ends_at <= starts_at:
            yield Fault("ends_at", "is not after starts_at")


CAMPAIGN = Form(
    kind="campaign",
    stated=Campaign,
    terms=catalogue.Campaign,
    to_terms=_to_terms,
    to_stated=_to_stated,
    references=_references,
    rules=_rules,
    one_of=("bid_cpm", "bid_cpc"),
)
