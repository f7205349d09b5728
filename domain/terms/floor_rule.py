"""Floor rules as their owner states them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from domain import catalogue
from domain.errors import Fault
from domain.money import cpm_text, micros_from_decimal
from domain.terms.fields import Country, Cpm, Currency, DeviceType, Size


class FloorRule(msgspec.Struct, frozen=True, kw_only=True):
    """What is not stated is a wildcard. The most exact rule that fits counts."""

    floor_cpm: Cpm
    currency: Currency | None = None
    """By default its placement's; a publisher's rules are in USD."""
    country: Country | None = None
    device_type: DeviceType | None = None
    size: Size | None = None
    media_type: catalogue.MediaType | None = None


def repeated_rules(given: Mapping[str, Any]) -> Iterator[Fault]:
    """Faults of `floor_rules` for exactly the traffic of an earlier one, beside which they would never count."""
    first: dict[tuple[object, ...], int] = {}
    for index, rule in enumerate(msgspec.convert(given.get("floor_rules", ()), tuple[FloorRule, ...])):
        earlier = first.setdefault((rule.country, rule.device_type, rule.size, rule.media_type), index)
        if earlier != index:
            yield Fault(f"floor_rules[{index}]", f"is for exactly the same traffic as floor_rules[{earlier}]")


def cpm_of(micros: int) -> Decimal:
    """Micros as the decimal that is shown."""
    return Decimal(cpm_text(micros))


def rules_to_terms(stated: Iterable[FloorRule], currency: str) -> tuple[catalogue.FloorRule, ...]:
    return tuple(
        catalogue.FloorRule(
            floor_micros=micros_from_decimal(rule.floor_cpm),
            currency=rule.currency or currency,
            country=rule.country,
            device_type=rule.device_type,
            size=rule.size,
            media_type=rule.media_type,
        )
        for rule in stated
    )


def rules_to_stated(terms: Iterable[catalogue.FloorRule]) -> tuple[FloorRule, ...]:
    return tuple(
        FloorRule(
            floor_cpm=cpm_of(rule.floor_micros),
            currency=rule.currency,
            country=rule.country,
            device_type=rule.device_type,
            size=rule.size,
            media_type=rule.media_type,
        )
        for rule in terms
    )
