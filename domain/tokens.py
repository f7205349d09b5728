"""Signed tokens in impression and click addresses: they carry all that counting the engagement needs.

A token is base64url of key id (4 bytes), MessagePack of the claims, and a keyed BLAKE2b MAC (16 bytes) over both.
It is signed: whoever sees the address can read the claims, nobody can alter them.

Three claims cannot be read without the key, because publishers and ads see tokens: what the winner bid, which is no
matter of the publisher's; what the publisher gets, which is none of the bidder's; and who the viewer is, which all
pages together would recognise by it. They are XORed with bytes of one keyed BLAKE2b digest over auction and imp. No two
awards share such bytes, as an imp is awarded once: the tokens of an award, for impression and click, state the same.

Tokens of the exchange's former version hid the figures alone, with a MAC of another purpose; they are still believed.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from binascii import Error as NotBase64
from binascii import b2a_base64
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import blake2b
from hmac import compare_digest
from math import inf
from struct import Struct

import msgspec

from domain.errors import InvalidToken
from domain.event_parts import EngagementKind, Inventory
from domain.limits import CLICK_EXPIRY_SECONDS, TOKEN_MAX_CHARS

SECRET_MIN_BYTES = 16
SECRET_MAX_BYTES = 64
_KEY_ID_BYTES = 4
_MAC_BYTES = 16
_TWO_NUMBERS = Struct(">QQ")
_MASK_BYTES = 64
_FORMER_MASK_BYTES = _TWO_NUMBERS.size
_PERSON_MAX_CHARS = _MASK_BYTES - _TWO_NUMBERS.size
_PURPOSE = b"gavel token 3"
_FORMER_PURPOSE = b"gavel token 2"
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class EngagementClaims(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One award, as seen from an engagement with its ad. New fields go to the end, with a default."""

    kind: EngagementKind
    auction_id: str
    imp_id: str
    bidder_id: str
    bid_id: str
    price_micros: int
    clearing_price_micros: int
    revenue_micros: int
    """The publisher's part of the clearing price; the rest is the exchange's fee."""
    currency: str
    awarded_at: datetime
    expires_at: int
    """Unix seconds. An expired engagement is still recorded, so checking this is the caller's part."""
    publisher_id: str = ""
    placement_id: str = ""
    site: str = ""
    country: str = ""
    device_type: int = 0
    seat: str = ""
    deal_id: str | None = None
    test: bool = False
    landing_url: str | None = None
    """Where a click leads; always there in a click's token."""
    wants_billing_notice: bool = False
    """The bidder is told of the impression, and with it what is known of the viewer."""
    advertiser_id: str | None = None
    campaign_id: str | None = None
    ad_id: str | None = None
    """These three of a campaign of the exchange's own."""
    charged_on: EngagementKind = "impression"
    """Where it is `click`, the clearing price is that of a click in nano-units, in the impression's token as well."""
    size: str = ""
    person: str = ""
    """The viewer's pseudonym, ASCII: see `domain/viewing.py`."""
    agent: str = ""
    """What the auction knew of the viewer's browser: see `domain/device_match.py`."""
    charge_nanos: int = 0
    """What the engagement takes from its campaign's budget, in the campaign's currency."""

    @property
    def fee_micros(self) -> int:
        return self.clearing_price_micros - self.revenue_micros

    @property
    def inventory(self) -> Inventory:
        return Inventory(
            publisher_id=self.publisher_id,
            placement_id=self.placement_id,
            site=self.site,
            country=self.country,
            device_type=self.device_type,
        )


class TokenKey(msgspec.Struct, frozen=True):
    """A secret of 16 to 64 bytes and its public name inside the tokens."""

    id: bytes
    secret: bytes
    signed_until: float = inf
    """Unix seconds. Of a later award it can have signed nothing, whoever knows it now."""

    @classmethod
    def of(cls, secret: bytes, signed_until: float = inf) -> TokenKey:
        assert SECRET_MIN_BYTES <= len(secret) <= SECRET_MAX_BYTES, len(secret)
        key_id = blake2b(secret, digest_size=_KEY_ID_BYTES, person=b"gavel key id").digest()
        return cls(key_id, secret, signed_until)

    def __repr__(self) -> str:
        return f"TokenKey({self.id.hex()})"


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(EngagementClaims).decode


def sign(claims: EngagementClaims, key: TokenKey) -> str:
    """The token, ready to stand in a URL."""
    signed = key.id + _encode(_masked(claims, key, _MASK_BYTES))
    return _as_text(signed + _mac(signed, key, _PURPOSE))


def verify(token: str, keys: Iterable[TokenKey]) -> EngagementClaims:
    """The claims of a token that one of `keys` signed; several keys let a secret be rotated.

    Raises InvalidToken for all else: forged, altered in any character, cut, too long, under an unknown key, or under
    one that did not sign any more when the ad was sold, or when it would have to have been for the token to live on.
    """
    raw = _raw(token)
    signed, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
    key = next((each for each in keys if each.id == signed[:_KEY_ID_BYTES]), None)
    if key is None:
        raise InvalidToken
    mask_bytes = _MASK_BYTES
    if not compare_digest(mac, _mac(signed, key, _PURPOSE)):
        mask_bytes = _FORMER_MASK_BYTES
        if not compare_digest(mac, _mac(signed, key, _FORMER_PURPOSE)):
            raise InvalidToken
    try:
        claims = _masked(_decode(signed[_KEY_ID_BYTES:]), key, mask_bytes)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidToken("The token was signed here, but holds claims of an unknown shape.") from None
    if key.signed_until != inf and not _is_before(claims, key.signed_until):
        raise InvalidToken("The token was signed with a key that was over by then.")
    return claims


def _is_before(claims: EngagementClaims, end: float) -> bool:
    """Whether it was awarded until then: it says so itself, and no token lives longer than a click's."""
    return claims.awarded_at.timestamp() <= end and claims.expires_at <= end + CLICK_EXPIRY_SECONDS


def expires_at(awarded_at: datetime, seconds: int) -> int:
    """Unix seconds at which a token of this award ends."""
    return int(awarded_at.timestamp()) + seconds


def is_expired(claims: EngagementClaims, now: datetime) -> bool:
    return now >= datetime.fromtimestamp(claims.expires_at, UTC)


def _raw(token: str) -> bytes:
    if not _KEY_ID_BYTES + _MAC_BYTES < len(token) <= TOKEN_MAX_CHARS:
        raise InvalidToken
    try:
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (NotBase64, ValueError):
        raise InvalidToken from None
    # Base64 has several spellings of the same bytes; only the one that `sign` writes is a token.
    if _as_text(raw) != token:
        raise InvalidToken
    return raw


def _as_text(raw: bytes) -> str:
    """Base64url without padding."""
    return b2a_base64(raw, newline=False).translate(_URL_SAFE, b"=").decode("ascii")


def _masked(claims: EngagementClaims, key: TokenKey, mask_bytes: int) -> EngagementClaims:
    """The claims with the secret ones hidden, or, of such claims, with what they hide."""
    # The id of an auction is Gavel's own and holds no NUL.
    award = f"{claims.auction_id}\0{claims.imp_id}".encode()
    digest = blake2b(award, digest_size=mask_bytes, key=key.secret, person=b"gavel figures").digest()
    price, revenue = _TWO_NUMBERS.unpack_from(digest)
    return msgspec.structs.replace(
        claims,
        price_micros=claims.price_micros ^ price,
        revenue_micros=claims.revenue_micros ^ revenue,
        person=_xored(claims.person, digest[_TWO_NUMBERS.size :]) if mask_bytes == _MASK_BYTES else claims.person,
    )


def _xored(text: str, mask: bytes) -> str:
    """As many characters, each below U+0100."""
    size = len(text)
    assert size <= _PERSON_MAX_CHARS, size
    hidden = int.from_bytes(text.encode("latin-1"), "big") ^ int.from_bytes(mask[:size], "big")
    return hidden.to_bytes(size, "big").decode("latin-1")


def _mac(signed: bytes, key: TokenKey, purpose: bytes) -> bytes:
    return blake2b(signed, digest_size=_MAC_BYTES, key=key.secret, person=purpose).digest()
