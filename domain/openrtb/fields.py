"""What OpenRTB's objects are made of: the kinds of values that fields hold, each with its bounds.

Unknown codes of the IAB's lists are legal, so a code is any integer.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import msgspec

from domain.limits import (
    BID_LIST_MAX_ITEMS,
    DIMENSION_MAX_PIXELS,
    MICROS_PER_UNIT,
    NOTICE_URL_MAX_CHARS,
    PRICE_MAX_MICROS,
    REQUEST_CHOICES_MAX,
    REQUEST_ID_MAX_CHARS,
    REQUEST_LIST_MAX_ITEMS,
)
from domain.money import micros_from_decimal

Integer = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
Natural = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Pixels = Annotated[int, msgspec.Meta(ge=0, le=DIMENSION_MAX_PIXELS)]
Latitude = Annotated[float, msgspec.Meta(ge=-90, le=90)]
Longitude = Annotated[float, msgspec.Meta(ge=-180, le=180)]
Identifier = Annotated[str, msgspec.Meta(min_length=1, max_length=REQUEST_ID_MAX_CHARS)]
"""Required, so it may not be empty."""
Name = Annotated[str, msgspec.Meta(max_length=REQUEST_ID_MAX_CHARS)]
"""Text that becomes part of a key or of a report's row."""
Currency = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}\Z")]
"""ISO 4217 alpha."""
NoticeUrl = Annotated[str, msgspec.Meta(max_length=NOTICE_URL_MAX_CHARS)]
Many = msgspec.Meta(max_length=REQUEST_LIST_MAX_ITEMS)
"""For lists of what a publisher blocks or lets in."""
Choices = msgspec.Meta(max_length=REQUEST_CHOICES_MAX)
"""For lists of what an imp takes."""
Few = msgspec.Meta(max_length=BID_LIST_MAX_ITEMS)
"""For lists of what one ad is or has."""
Names = Annotated[tuple[str, ...], Many]
Languages = Annotated[tuple[str, ...], Choices]
Codes = Annotated[tuple[Integer, ...], Choices]
Ext = msgspec.Raw | msgspec.UnsetType
"""An extension object as it came, or nothing."""


# Requests are trees without cycles: the garbage collector need not walk them.
class RtbObject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What every object has. Absent means unknown, unless the specification states a default."""

    ext: Ext = msgspec.UNSET


class Cpm(Decimal):
    """A price or floor from 0 to PRICE_MAX_MICROS, exactly as its digits stand in the JSON.

    msgspec takes a plain Decimal from a JSON string too, "NaN" included; a Cpm is taken from a JSON number only.
    """

    __slots__ = ()


ZERO = Cpm(0)
_MAX = Cpm(PRICE_MAX_MICROS // MICROS_PER_UNIT)


def cpm_from_json(kind: type, value: Any) -> Cpm:
    """Hook for msgspec's decoders, whose `float_hook` must be Cpm. Raises ValueError with what is wrong."""
    assert kind is Cpm, kind
    if type(value) is Cpm:
        price = value
    elif type(value) is int:
        price = Cpm(value)
    else:
        raise ValueError(f"Expected a number, got `{_json_name(value)}`")
    if not ZERO <= price <= _MAX:
        micros_from_decimal(price)  # says in its own words what is wrong
    return price


def _json_name(value: object) -> str:
    names = {str: "str", bool: "bool", type(None): "null", list: "array", dict: "object"}
    return names.get(type(value), type(value).__name__)
