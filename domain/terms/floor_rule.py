"""Floor rules as their owner states them."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from domain import catalogue
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
