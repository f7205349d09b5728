"""Consent strings: published ones, and ones built bit by bit from the specification's table."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.tcf import PRECISE_GEOLOCATION, consent_in

THREE_PURPOSES = (
    "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA.IFoEUQQgAIQwgIwQABAEAAAAOIAACAIAAAAQAIAgEAACEAAAAAgAQBAAAAAAAGBAAgAA"
    "AAAAAFAAECAAAgAAQARAEQAAAAAJAAIAAgAAAYQEAAAQmAgBC3ZAYzUw"
)
"""The specification's own example: purposes 1, 2 and 3."""
FOUR_PURPOSES = "CLcVDxRMWfGmWAVAHCENAXCkAKDAADnAABRgA5mdfCKZuYJez-NQm0TBMYA4oCAAGQYIAAAAAAEAIAEgAA.argAC0gAAAAAAAAAAAA"
"""From the documentation of Perl's reader, GDPR::IAB::TCFv2: purposes 1, 3, 9 and 10."""
NO_PURPOSE = "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA"
"""From the examples of the Global Privacy Platform."""
HEAD_BITS = 140
REST_BITS = 24 + 1 + 12 + 16 + 1 + 16 + 1 + 12
"""Legitimate interests, purpose one's treatment, country, two empty lists of vendors, no publisher restriction."""


def tc_string(purposes: Collection[int], special_features: Collection[int] = ()) -> str:
    """A string of version 2 with these consents and nothing else."""
    bits = "000010".ljust(HEAD_BITS, "0")
    bits += "".join("1" if number in special_features else "0" for number in range(1, 13))
    bits += "".join("1" if number in purposes else "0" for number in range(1, 25))
    bits += "0" * REST_BITS
    whole_bytes = bits.ljust(-len(bits) % 8 + len(bits), "0")
    return urlsafe_b64encode(int(whole_bytes, 2).to_bytes(len(whole_bytes) // 8, "big")).decode().rstrip("=")


ALL_ALLOWED = tc_string(range(1, 12), {PRECISE_GEOLOCATION})


@pytest.mark.parametrize(
    ("text", "purposes"), [(THREE_PURPOSES, {1, 2, 3}), (FOUR_PURPOSES, {1, 3, 9, 10}), (NO_PURPOSE, set())]
)
def test_published_strings(text: str, purposes: set[int]) -> None:
    """Other readers find the same purposes in them."""
    consent = consent_in(text)
    assert consent is not None
    assert {purpose for purpose in range(1, 25) if consent.allows(purpose)} == purposes


@given(st.sets(st.integers(1, 24)), st.sets(st.integers(1, 12)))
def test_every_consent_is_found_and_no_other(purposes: set[int], special_features: set[int]) -> None:
    """Each purpose and special feature has its own bit."""
    consent = consent_in(tc_string(purposes, special_features))
    assert consent is not None
    assert {number for number in range(1, 25) if consent.allows(number)} == purposes
    assert {number for number in range(1, 13) if consent.opted_in(number)} == special_features


@pytest.mark.parametrize(
    ("purposes", "allowed"),
    [
        ({1, 2}, True),
        ({1, 3}, True),
        ({1, 4}, True),
        (set(range(1, 25)), True),
        ({1}, False),
        ({2, 3, 4}, False),
        ({1, 5, 6, 7, 8, 9, 10, 11}, False),
        (set(), False),
    ],
)
def test_ids_need_access_to_the_device_and_a_reason(purposes: set[int], allowed: bool) -> None:
    """Purpose 1, and one of the purposes of choosing an ad."""
    consent = consent_in(tc_string(purposes))
    assert consent is not None
    assert consent.allows_ids == allowed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yes",
        "C",
        NO_PURPOSE[:-1],
        "BOEFEAyOEFEAyAHABDENAI4AAAB9vABAASAAAAAAAAAAAAAAAAAA",  # version 1
        "D" + NO_PURPOSE[1:],
        NO_PURPOSE.replace("-", "+"),
        NO_PURPOSE[:20] + " " + NO_PURPOSE[20:],
        NO_PURPOSE[:20] + "é" + NO_PURPOSE[20:],
        "." + NO_PURPOSE,
    ],
)
def test_what_is_no_consent_string(text: str) -> None:
    """Other versions, cut and garbled strings say nothing."""
    assert consent_in(text) is None


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    """Nothing that stands in a request breaks the reader."""
    consent_in(text)
    consent_in(NO_PURPOSE + text)
