"""What may be stated of a bidder."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from domain.catalogue import Bidder
from domain.errors import InvalidInput
from domain.terms.bidder import bidder_form

MINIMAL = {"name": "Alfa", "endpoint": "https://alfa.example/bid"}
FORM = bidder_form(allow_private=False)


def faults(body: bytes | dict[str, Any]) -> dict[str, str]:
    """Path to message."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    with pytest.raises(InvalidInput) as refused:
        FORM.registration(raw)
    return {fault.path: fault.message for fault in refused.value.faults}


def test_the_least_that_a_bidder_needs() -> None:
    """Name and endpoint; an absent list means all, null means absent."""
    body = msgspec.json.encode({**MINIMAL, "qps_limit": None, "seats": None})
    assert FORM.registration(body).terms == Bidder(name="Alfa", endpoint="https://alfa.example/bid")


def test_everything_that_a_bidder_can_say() -> None:
    """Every field stands in the event's terms."""
    full = {
        **MINIMAL,
        "seats": ["s1"],
        "media_types": ["banner", "video"],
        "countries": ["DEU"],
        "qps_limit": 100,
        "timeout_ms": 80,
        "currency": "EUR",
        "sizes": [[300, 250]],
        "device_types": [4],
        "placement_ids": ["p-1"],
        "price_adjustment_bps": 9_500,
        "accepts_gzip": True,
    }
    terms = FORM.registration(msgspec.json.encode(full)).terms
    assert msgspec.to_builtins(terms) == {
        name: _tuples(value) if isinstance(value, list) else value for name, value in full.items()
    }


def _tuples(value: list[Any]) -> tuple[Any, ...]:
    return tuple(_tuples(each) if isinstance(each, list) else each for each in value)


def test_all_faults_at_once() -> None:
    """Whoever sends the request can mend it in one go."""
    assert faults(
        {
            "endpoint": "http://127.0.0.1/",
            "seats": ["ok", 7],
            "media_types": ["banner", "skywriting"],
            "countries": ["Germany"],
            "qps_limit": 0,
            "timeout_ms": "soon",
            "currency": "usd",
            "typo": 1,
        }
    ).keys() == {
        "name", "endpoint", "seats[1]", "media_types[1]", "countries[0]", "qps_limit", "timeout_ms", "currency", "typo",
    }  # fmt: skip


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b'{"name": "\xff"}', b'"text"', b"NaN"])
def test_what_is_no_object(body: bytes) -> None:
    """One fault, at the root."""
    assert list(faults(body)) == [""]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""), ("name", "   "), ("name", "x" * 257), ("name", 5), ("endpoint", "alfa.example"),
        ("endpoint", ["http://alfa.example/"]), ("qps_limit", 1.5), ("qps_limit", -1), ("qps_limit", True),
        ("timeout_ms", 1), ("timeout_ms", 10**9), ("seats", "s1"), ("seats", [""]), ("seats", ["s"] * 300),
        ("currency", "EURO"),
    ],
)  # fmt: skip
def test_single_faults(field: str, value: Any) -> None:
    """Each bad value is named by its field alone."""
    assert [path.partition("[")[0] for path in faults({**MINIMAL, field: value})] == [field]
