"""Tokens: what was signed comes back, and nothing else does."""

from __future__ import annotations

import string
from base64 import urlsafe_b64decode
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.endpoint import ENDPOINT_MAX_CHARS
from domain.errors import InvalidToken
from domain.limits import REQUEST_ID_MAX_CHARS, TOKEN_MAX_CHARS
from domain.tokens import EngagementClaims, TokenKey, expires_at, is_expired, sign, verify

KEY = TokenKey.of(b"0123456789abcdef")
AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
UUID = "0197c0de-7aaa-7bbb-8ccc-0123456789ab"
PERSON = "mZ3xQ-07_aBc"
FORMER_TOKEN = (
    "JDcQetwAHaVjbGlja9kkMDE5N2MwZGUtN2FhYS03YmJiLThjY2MtMDEyMzQ1Njc4OWFioTHZJDAxOTdjMGRlLTdhYWEtN2JiYi04"
    "Y2NjLTAxMjM0NTY3ODlhYtkkMDE5N2MwZGUtN2FhYS03YmJiLThjY2MtMDEyMzQ1Njc4OWFiz9_gh7gCALiWzgAN4rDPr__bOzxT"
    "tgCjVVNE1_-h3NQgaVc1pc5pV0O1p3B1Yi0xMjOtcGxhY2VtZW50LTEyM6xuZXdzLmV4YW1wbGWjVVNBAqZzZWF0LTGmZGVhbC0x"
    "wtkzaHR0cHM6Ly9zaG9wLmV4YW1wbGUvbGFuZGluZz9jYW1wYWlnbj0xMjM0NSZhZD02Nzg5wsDAwKppbXByZXNzaW9uoKxtWjN4"
    "US0wN19hQmOgACube4sn5C_58FWECwW-QQo"
)
"""Of `claims(person=PERSON)` under KEY, as the version before signed it: the person stands in it in clear."""


def claims(**changes: Any) -> EngagementClaims:
    values = {
        "kind": "click",
        "auction_id": UUID,
        "imp_id": "1",
        "bidder_id": UUID,
        "bid_id": UUID,
        "price_micros": 1_230_000,
        "clearing_price_micros": 910_000,
        "revenue_micros": 728_000,
        "currency": "USD",
        "awarded_at": AT,
        "expires_at": expires_at(AT, 3_600),
        "publisher_id": "pub-123",
        "placement_id": "placement-123",
        "site": "news.example",
        "country": "USA",
        "device_type": 2,
        "seat": "seat-1",
        "deal_id": "deal-1",
        "landing_url": "https://shop.example/landing?campaign=12345&ad=6789",
    }
    return EngagementClaims(**{**values, **changes})


texts = st.text(max_size=40)
people = st.text(string.ascii_letters + string.digits + "-_", max_size=12)
micros = st.integers(0, 2**43)
any_claims = st.builds(
    claims,
    imp_id=texts, bid_id=texts, seat=texts, deal_id=st.none() | texts, landing_url=st.none() | texts,
    price_micros=micros, clearing_price_micros=micros, revenue_micros=micros, test=st.booleans(),
    awarded_at=st.datetimes(min_value=datetime(2020, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - Hypothesis adds it
    site=texts, country=texts, publisher_id=texts, placement_id=texts, device_type=st.integers(-(2**31), 2**31 - 1),
    person=people,
)  # fmt: skip


@given(any_claims)
def test_round_trip(signed: EngagementClaims) -> None:
    """Every claim comes back as it was signed, in characters that need no escaping in a URL."""
    token = sign(signed, KEY)
    assert verify(token, [KEY]) == signed
    assert set(token) <= set(string.ascii_letters + string.digits + "-_")


def read_without_key(token: str) -> list[Any]:
    """What base64 and MessagePack alone give: key id and MAC taken off."""
    read: list[Any] = msgspec.msgpack.decode(urlsafe_b64decode(token + "=" * (-len(token) % 4))[4:-16])
    return read


def test_what_was_bid_and_what_is_paid_out_cannot_be_read() -> None:
    """Whoever has the address reads the rest, but not what the winner bid and what the publisher gets."""
    price, clearing_price, revenue = read_without_key(sign(claims(), KEY))[5:8]
    assert clearing_price == 910_000
    assert not {1_230_000, 728_000} & {price, revenue}
    assert price ^ revenue != 1_230_000 ^ 728_000


def test_hidden_figures_tell_nothing_of_each_other() -> None:
    """Equal figures of two auctions or two imps look different; the two tokens of one award look the same."""

    def hidden(**changes: Any) -> tuple[int, int]:
        read = read_without_key(sign(claims(**changes), KEY))
        return read[5], read[7]

    different = {*hidden(), *hidden(imp_id="2"), *hidden(auction_id=UUID[:-1] + "c")}
    assert len(different) == 6
    assert hidden() == hidden(kind="impression", landing_url=None)


def test_no_page_recognises_a_viewer_by_tokens() -> None:
    """Without the key a person cannot be read in tokens, and looks another in each auction and imp."""
    awards: list[dict[str, Any]] = [{}, {"imp_id": "2"}, {"auction_id": UUID[:-1] + "c"}]
    tokens = [sign(claims(person=PERSON, **award), KEY) for award in awards]
    read = [read_without_key(token) for token in tokens]
    place = EngagementClaims.__struct_fields__.index("person")
    assert len({PERSON, *(each[place] for each in read)}) == 4
    assert not any(PERSON in str(each) for each in read)
    assert {verify(token, [KEY]).person for token in tokens} == {PERSON}


def test_tokens_of_the_version_before_go_on_counting() -> None:
    """Ads that are on pages while the exchange is upgraded carry them."""
    assert verify(FORMER_TOKEN, [KEY]) == claims(person=PERSON)
    with pytest.raises(InvalidToken):
        verify(FORMER_TOKEN[:100] + "A" + FORMER_TOKEN[101:], [KEY])


def test_a_usual_token_is_short() -> None:
    """Markup and logs carry it: under 600 characters."""
    assert len(sign(claims(), KEY)) < 600


def test_the_largest_token_is_within_the_bound() -> None:
    """Ids and addresses as long as they may be, in characters of four bytes, still make a token that is accepted."""
    long = "\U0001f600" * REQUEST_ID_MAX_CHARS
    largest = claims(
        imp_id=long, bid_id=long, seat=long, deal_id=long, publisher_id=long, placement_id=long, site=long,
        landing_url="https://shop.example/" + "x" * (ENDPOINT_MAX_CHARS - 21),
    )  # fmt: skip
    token = sign(largest, KEY)
    assert len(token) <= TOKEN_MAX_CHARS
    assert verify(token, [KEY]) == largest


def test_every_changed_character_is_noticed() -> None:
    """Whatever single character is replaced, by whatever other one, the token is refused."""
    token = sign(claims(), KEY)
    alphabet = string.ascii_letters + string.digits + "-_=+/. "
    for at, original in enumerate(token):
        for other in alphabet:
            if other != original:
                with pytest.raises(InvalidToken):
                    verify(token[:at] + other + token[at + 1 :], [KEY])


def test_every_cut_and_every_extension_is_noticed() -> None:
    """A token that lost its end, its start or a part in the middle, or got one more character, is refused."""
    token = sign(claims(), KEY)
    mutations = [token[:at] for at in range(len(token))]
    mutations += [token[at:] for at in range(1, len(token))]
    mutations += [token[:at] + token[at + 1 :] for at in range(len(token))]
    mutations += [token + other for other in string.ascii_letters + string.digits + "-_=\n "]
    for mutation in mutations:
        with pytest.raises(InvalidToken):
            verify(mutation, [KEY])


@given(st.text(max_size=400) | st.text(alphabet=string.ascii_letters + "-_", max_size=400))
def test_anything_else_is_refused(text: str) -> None:
    """No text whatever is taken for a token, or makes the check fail otherwise."""
    with pytest.raises(InvalidToken):
        verify(text, [KEY])


def test_oversized_tokens_are_not_even_read() -> None:
    """Past the bound nothing is decoded."""
    with pytest.raises(InvalidToken):
        verify("A" * (TOKEN_MAX_CHARS + 1), [KEY])


def test_keys_can_be_rotated() -> None:
    """Tokens under an older key hold as long as that key is known; under an unknown one they do not."""
    older = TokenKey.of(b"another secret of enough bytes")
    token = sign(claims(), older)
    assert verify(token, [KEY, older]) == claims()
    with pytest.raises(InvalidToken):
        verify(token, [KEY])
    with pytest.raises(InvalidToken):
        verify(token, [TokenKey(older.id, KEY.secret)])


def test_a_secret_is_never_shown() -> None:
    """Not in a log line, not in a traceback."""
    assert repr(KEY) == f"TokenKey({KEY.id.hex()})"


def test_expiry_is_the_second_it_says() -> None:
    """A token holds until its second, and not in it."""
    signed = claims(expires_at=expires_at(AT, 60))
    assert not is_expired(signed, AT.replace(minute=5, microsecond=0, second=4))
    assert is_expired(signed, AT.replace(minute=5, microsecond=0))
