"""What a consent string of the IAB's Transparency and Consent Framework allows, as far as an exchange must know.

Read are the fields with fixed places at the start of the core segment ("Consent string and vendor list formats v2",
section "The core string"): version in bits 0 to 5, opt-ins to special features in 140 to 151, consent to purposes in
152 to 175. Vendors, legitimate interests and publisher restrictions are left to the bidders, who get the whole string.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from typing import NamedTuple

STORE_AND_ACCESS = 1
SELECT_BASIC_ADS = 2
CREATE_PROFILES = 3
SELECT_PERSONALISED_ADS = 4
PRECISE_GEOLOCATION = 1
"""Of the special features."""

_CORE_SEGMENT = re.compile(r"C[A-Za-z0-9_-]{43,}(?:=?=)?(?:\.|\Z)")
"""`C` is version 2; the shortest core segment, without a single vendor, has 259 bits in 44 characters."""
_CHARS_READ = 32
_BITS_READ = _CHARS_READ * 6
_SPECIAL_FEATURES_END = 152
_SPECIAL_FEATURES_BITS = 12
_PURPOSES_END = 176
_PURPOSES_BITS = 24
_STANDARD_ALPHABET = str.maketrans("-_", "+/")


class Consent(NamedTuple):
    """Bit sets in the order of the string: the first purpose and the first feature are the highest bits."""

    purposes: int
    special_features: int

    def allows(self, purpose: int) -> bool:
        """Whether the person consented to the purpose, 1 to 24; a legitimate interest is not consent."""
        return bool(self.purposes >> (_PURPOSES_BITS - purpose) & 1)

    def opted_in(self, special_feature: int) -> bool:
        """Whether the person opted in to the special feature, 1 to 12."""
        return bool(self.special_features >> (_SPECIAL_FEATURES_BITS - special_feature) & 1)

    @property
    def allows_ids(self) -> bool:
        """Whether bidders may recognise the person.

        An id is read from the device (purpose 1), and a buyer needs one to choose an ad at all, with its caps
        (purpose 2), to learn (3) or to use (4) what the person likes.
        """
        return self.allows(STORE_AND_ACCESS) and (
            self.allows(SELECT_BASIC_ADS) or self.allows(CREATE_PROFILES) or self.allows(SELECT_PERSONALISED_ADS)
        )

    @property
    def allows_profiles(self) -> bool:
        """Whether an ad may be chosen by what somebody has found out about the person before."""
        return self.allows(STORE_AND_ACCESS) and self.allows(SELECT_PERSONALISED_ADS)


def consent_in(tc_string: str) -> Consent | None:
    """What the string says; None for one of another version, cut off, or no consent string at all."""
    if not _CORE_SEGMENT.match(tc_string):
        return None
    bits = int.from_bytes(a2b_base64(tc_string[:_CHARS_READ].translate(_STANDARD_ALPHABET)), "big")
    return Consent(
        bits >> (_BITS_READ - _PURPOSES_END) & ((1 << _PURPOSES_BITS) - 1),
        bits >> (_BITS_READ - _SPECIAL_FEATURES_END) & ((1 << _SPECIAL_FEATURES_BITS) - 1),
    )
