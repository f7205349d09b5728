"""A currency rate, as `/v1/currency-rates` takes and shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from domain import catalogue
from domain.currency import rate_text
from domain.errors import Fault
from domain.terms.fields import Currency, Rate
from domain.terms.form import Form


class CurrencyRate(msgspec.Struct, frozen=True, kw_only=True):
    """One unit of `base` is `rate` units of `quote`."""

    base: Currency
    quote: Currency
    rate: Rate


def rate_id(terms: catalogue.CurrencyRate) -> str:
    """A pair has one rate: stating it again changes it."""
    return f"{terms.base}-{terms.quote}"


def _to_terms(stated: CurrencyRate) -> catalogue.CurrencyRate:
    return catalogue.CurrencyRate(base=stated.base, quote=stated.quote, rate=rate_text(stated.rate))


def _to_stated(terms: catalogue.CurrencyRate) -> CurrencyRate:
    return CurrencyRate(base=terms.base, quote=terms.quote, rate=Decimal(terms.rate))


def _rules(given: Mapping[str, Any]) -> Iterator[Fault]:
    if "base" in given and given["base"] == given.get("quote"):
        yield Fault("quote", "is the same currency as base")


CURRENCY_RATE = Form(
    kind="currency_rate",
    stated=CurrencyRate,
    terms=catalogue.CurrencyRate,
    to_terms=_to_terms,
    to_stated=_to_stated,
    rules=_rules,
)
