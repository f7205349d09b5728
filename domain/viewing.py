"""Who asks for an ad, as far as it may be known: what the tokens of an award remember of the viewer."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

from domain.device_match import agent_of
from domain.openrtb.request import BidRequest
from domain.privacy import truncate_ip

PERSON_BYTES: Final = 9
"""12 characters: among a billion people two share one about once in four thousand."""


class Viewing(NamedTuple):
    """What tokens, awards and engagements say of a viewer."""

    person: str = ""
    """The same under the same key, and nothing without it; empty where nothing may be known, or nothing is."""
    agent: str = ""
    """What the request says of the browser: see `domain/device_match.py`."""


def viewing_of(request: BidRequest, key: bytes, restricted_by: Sequence[str]) -> Viewing:
    """`key` hides who it is; the browser is no secret of a person's."""
    return Viewing(person_of(request, key, restricted_by), agent_of(request.device))


def person_of(request: BidRequest, key: bytes, restricted_by: Sequence[str]) -> str:
    """A keyed pseudonym of the device's id, else the user's, else of the network and browser that ask.

    Empty where a law or the person's wish restricts what may be known.
    """
    device, user = request.device, request.user
    if restricted_by:
        return ""
    if device is not None and device.ifa:
        return _pseudonym(key, f"ifa {device.ifa}")
    if user is not None and (user.id or user.buyeruid):
        return _pseudonym(key, f"user {user.id or user.buyeruid}")
    if device is None:
        return ""
    network = truncate_ip(device.ip or device.ipv6 or "")
    return _pseudonym(key, f"browser {network} {device.ua}") if network and device.ua else ""


def _pseudonym(key: bytes, value: str) -> str:
    digest = blake2b(value.encode(), digest_size=PERSON_BYTES, key=key, person=b"gavel viewer").digest()
    return urlsafe_b64encode(digest).decode("ascii")
