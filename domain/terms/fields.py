"""The fields that terms are made of: a type with its bounds, and a rule where a type cannot tell."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, NamedTuple

import msgspec

from domain.endpoint import is_public_name
from domain.limits import (
    BASIS_POINTS,
    BUDGET_MAX_NANOS,
    CATALOGUE_ID_MAX_CHARS,
    CATALOGUE_LIST_MAX_ITEMS,
    CATALOGUE_NAME_MAX_CHARS,
    CLICK_BID_MAX_NANOS,
    DIMENSION_MAX_PIXELS,
)
from domain.money import DIGITS_MAX, InvalidPrice, micros_from_decimal, nanos_from_decimal

CPM_PLACES_MAX = 6
AMOUNT_PLACES_MAX = 6
"""Of what an advertiser states: a millionth of a currency unit. What follows from it is counted in nano-units."""
RATE_PLACES_MAX = 12
RATE_MAX = Decimal(1_000_000_000)
_CODE_MAX_CHARS = 64
_NUMBER_MAX = 9_999


class Rule(NamedTuple):
    """Stands in the metadata of an annotated type."""

    fault_of: Callable[[Any], str | None]
    """What is wrong with a value of that type, or None."""


def _cpm_fault(value: Decimal) -> str | None:
    try:
        micros_from_decimal(value)
    except InvalidPrice as invalid:
        return str(invalid)
    return _places_fault(value, CPM_PLACES_MAX)


def _amount_rule(most_nanos: int) -> Rule:
    def fault_of(value: Decimal) -> str | None:
        try:
            nanos_from_decimal(value, most_nanos)
        except InvalidPrice as invalid:
            return str(invalid)
        return _places_fault(value, AMOUNT_PLACES_MAX)

    return Rule(fault_of)


def _rate_fault(value: Decimal) -> str | None:
    if not value.is_finite() or not 0 < value <= RATE_MAX:
        return f"is not a number above 0 and up to {RATE_MAX}"
    return _places_fault(value, RATE_PLACES_MAX)


def _places_fault(value: Decimal, places: int) -> str | None:
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and -exponent > places + DIGITS_MAX:
        return "has too many digits"
    return None if value == round(value, places) else f"has more than {places} decimal places"


def _domain_fault(value: str) -> str | None:
    return None if is_public_name(value) else "is not the name of a website"


Text = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=CATALOGUE_NAME_MAX_CHARS,
        pattern=r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$",
    ),
]
"""Not blank, and without control characters."""
EntityId = Annotated[
    str, msgspec.Meta(min_length=1, max_length=CATALOGUE_ID_MAX_CHARS, pattern=r"^[A-Za-z0-9._~:@|+-]+$")
]
Domain = Annotated[str, Rule(_domain_fault)]
Country = Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$", description="ISO 3166-1 alpha-3.")]
Currency = Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$", description="ISO 4217.")]
Cpm = Annotated[Decimal, Rule(_cpm_fault), msgspec.Meta(description="Currency units per thousand impressions.")]
Budget = Annotated[Decimal, _amount_rule(BUDGET_MAX_NANOS), msgspec.Meta(description="Currency units.")]
Cpc = Annotated[Decimal, _amount_rule(CLICK_BID_MAX_NANOS), msgspec.Meta(description="Currency units per click.")]
Rate = Annotated[Decimal, Rule(_rate_fault)]
BasisPoints = Annotated[int, msgspec.Meta(ge=0, le=BASIS_POINTS)]
Pixels = Annotated[int, msgspec.Meta(ge=1, le=DIMENSION_MAX_PIXELS)]
Size = tuple[Pixels, Pixels]
DeviceType = Annotated[int, msgspec.Meta(ge=1, le=_NUMBER_MAX, description="AdCOM device type.")]
Code = Annotated[str, msgspec.Meta(min_length=1, max_length=_CODE_MAX_CHARS, pattern=r"^[!-~]+$")]
Number = Annotated[int, msgspec.Meta(ge=0, le=_NUMBER_MAX)]
Many = msgspec.Meta(max_length=CATALOGUE_LIST_MAX_ITEMS)
"""The bound of a list."""
