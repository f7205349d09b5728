"""Substitution macros of OpenRTB 2.6, section 4.4, in markup and notice addresses."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from decimal import Decimal
from urllib.parse import quote

import msgspec

from domain.event_parts import StatedPrice
from domain.limits import CLICK_URL_USUAL_CHARS, REQUEST_ID_MAX_CHARS
from domain.money import cpm_text
from domain.told_price import charged, to_be_bid

CLICK_URL = "${GAVEL_CLICK_URL}"
"""Gavel's own macro: the address that records a click and leads to the landing page."""
_START = "${AUCTION_"
_MACRO = re.compile(r"\$\{AUCTION_([A-Z_]+)(:B64)?\}")
_RATIO_DIGITS = 6
_NUMBER_MAX_CHARS = 32
_ESCAPED_MAX_CHARS = 12
"""Of one character: four bytes, each percent-encoded."""
VALUE_MAX_CHARS = max(REQUEST_ID_MAX_CHARS * _ESCAPED_MAX_CHARS, CLICK_URL_USUAL_CHARS)
"""What a macro can become at most, with the longest ids."""


class Macros(msgspec.Struct, frozen=True, kw_only=True):
    """What the macros stand for. An unknown value is None and becomes the empty string."""

    request_id: str
    imp_id: str
    response_bid_id: str | None = None
    """`BidResponse.bidid`."""
    seat_id: str | None = None
    ad_id: str | None = None
    """`Bid.adid`."""
    currency: str | None = None
    """The auction's, which all prices are in; the texts are in the bid's own."""
    bid_price_micros: int | None = None
    """The price that competed."""
    clearing_price_micros: int | None = None
    """Left out for a loser: it never learns the price."""
    min_to_win_micros: int | None = None
    stated: StatedPrice | None = None
    """The bid's price as stated, where that is in another currency or adjusted."""
    loss_code: int | None = None
    """0 for a bid that won."""
    multiplier: float | None = None
    """`Imp.qty.multiplier`."""
    imp_timestamp_ms: int | None = None

    def texts(self) -> dict[str, str]:
        """What stands for each ${AUCTION_<name>} of the specification."""
        return {
            "ID": self.request_id,
            "BID_ID": self.response_bid_id or "",
            "IMP_ID": self.imp_id,
            "SEAT_ID": self.seat_id or "",
            "AD_ID": self.ad_id or "",
            "PRICE": _price(self._price_micros()),
            "CURRENCY": (self.currency if self.stated is None else self.stated.currency) or "",
            "MBR": self._market_bid_ratio(),
            "LOSS": _number(self.loss_code),
            "MIN_TO_WIN": _price(self._min_to_win_micros()),
            "MULTIPLIER": _number(self.multiplier),
            "IMP_TS": _number(self.imp_timestamp_ms),
            # Gavel gives no discounts.
            "DISCOUNT_PCT": "",
            "DISCOUNT_CPM": "",
        }

    def _price_micros(self) -> int | None:
        if self.clearing_price_micros is None or self.bid_price_micros is None:
            return self.clearing_price_micros
        return charged(self.clearing_price_micros, self.bid_price_micros, self.stated)

    def _min_to_win_micros(self) -> int | None:
        return None if self.min_to_win_micros is None else to_be_bid(self.min_to_win_micros, self.stated)

    def _market_bid_ratio(self) -> str:
        bid = self.bid_price_micros if self.stated is None else self.stated.price_micros
        price = self._price_micros()
        return "" if not bid or price is None else _number(round(price / bid, _RATIO_DIGITS))


def fill(text: str, macros: Macros, *, in_url: bool = False) -> str:
    """The text with every macro of the specification replaced; `${AUCTION_PRICE:B64}` encodes the value.

    What looks like a macro and is none stays as it is. In a URL, values are percent-encoded: an id must not be able to
    end or add a parameter.
    """
    if _START not in text:
        return text

    texts = macros.texts()

    def replacement(match: re.Match[str]) -> str:
        value = texts.get(match[1])
        if value is None:
            return match[0]
        if match[2]:
            return b64encode(value.encode()).decode("ascii")
        return quote(value, safe="") if in_url else value

    return _MACRO.sub(replacement, text)


def growth_max_chars(text: str, ids: Iterable[str]) -> int:
    """By how much the text may grow at most when its macros are filled; `ids` are the values that others choose."""
    macros, clicks = text.count(_START), text.count(CLICK_URL)
    longest = max(map(_escaped_max_chars, ids)) if macros else 0
    return macros * max(longest, _NUMBER_MAX_CHARS) + clicks * CLICK_URL_USUAL_CHARS


def _escaped_max_chars(value: str) -> int:
    """Percent-encoded, each byte takes three characters."""
    return len(value) * (3 if value.isascii() else _ESCAPED_MAX_CHARS)


def _price(micros: int | None) -> str:
    return "" if micros is None else cpm_text(micros)


def _number(value: float | None) -> str:
    """Without an exponent, as far as anybody means such a number."""
    if value is None:
        return ""
    short = f"{value:.15g}"
    plain = f"{Decimal(short):f}"
    return plain if len(plain) <= _NUMBER_MAX_CHARS else short
