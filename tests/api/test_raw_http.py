"""Bodies within their bounds, and whose request it is."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import pytest

from api.client_address import ClientAddresses
from api.problems import ProblemRaised
from api.raw_http import ClientLeft, accepts_gzip, gunzip, read_body
from api.write.engagement_token import token_in
from domain.errors import InvalidInput

LIMIT = 1_000


def receiving(*chunks: bytes, hangs_up: bool = False) -> Any:
    """An ASGI `receive` that hands out these chunks."""
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    end = {"type": "http.disconnect"} if hangs_up else {"type": "http.request", "body": b"", "more_body": False}
    left = iter([*messages, end])

    async def receive() -> dict[str, Any]:
        return next(left)

    return receive


async def test_a_body_in_pieces_is_put_together() -> None:
    """How a body is cut on its way makes no difference."""
    assert await read_body({}, receiving(b"a" * 400, b"b" * 600), LIMIT) == b"a" * 400 + b"b" * 600


async def test_one_byte_too_many() -> None:
    """The limit itself is allowed, one byte more is not."""
    with pytest.raises(ProblemRaised, match=str(LIMIT)):
        await read_body({}, receiving(b"a" * LIMIT, b"b"), LIMIT)


async def test_hanging_up_is_no_fault_of_the_body() -> None:
    """A client that leaves early is told apart from one that sends too much."""
    with pytest.raises(ClientLeft):
        await read_body({}, receiving(b"a", hangs_up=True), LIMIT)


@pytest.mark.parametrize("members", [1, 3])
def test_gzip_of_several_members(members: int) -> None:
    """Gzip files that were appended to each other are one body."""
    assert gunzip(gzip.compress(b"abc") * members, LIMIT) == b"abc" * members


def test_a_bomb_of_many_members_does_not_add_up() -> None:
    """The limit holds over all members together."""
    with pytest.raises(ProblemRaised):
        gunzip(gzip.compress(b"a" * 600) * 2, LIMIT)


def test_a_thousand_tiny_members_are_refused() -> None:
    """Unpacking them one by one would cost the square of their number."""
    with pytest.raises(InvalidInput, match="members"):
        gunzip(gzip.compress(b"") * 1_000, LIMIT)


def test_deflate_is_not_gzip() -> None:
    """What only claims to be gzip is named as such."""
    with pytest.raises(InvalidInput, match="not gzip"):
        gunzip(zlib.compress(b"abc"), LIMIT)


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        (b"gzip", True),
        (b"br;q=1.0, gzip;q=0.8", True),
        (b"br, GZIP", True),
        (b"gzip;q=0", False),
        (b"gzip; q=0.00", False),
        (b"identity", False),
    ],
)
def test_gzip_is_sent_to_who_wants_it(accepted: bytes, expected: bool) -> None:
    """A quality of zero takes the offer back."""
    assert accepts_gzip({b"accept-encoding": accepted}) is expected


@pytest.mark.parametrize(
    ("query", "token"),
    [(b"t=abc", "abc"), (b"x=1&t=abc", "abc"), (b"t=a%62c", "abc"), (b"", ""), (b"u=abc", ""), (b"t=", "")],
)
def test_the_token_of_an_address(query: bytes, token: str) -> None:
    """Viewers' mail programs and proxies rewrite addresses; the token survives what is lossless."""
    assert token_in(query) == token


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", None, "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, unknown", "10.0.0.1"),
    ],
)
def test_whose_request_it_is(peer: str, forwarded: str | None, client: str) -> None:
    """A proxy is believed if it is one of ours, and only about the hop before itself."""
    headers = [] if forwarded is None else [(b"x-forwarded-for", forwarded.encode())]
    scope: Any = {"client": (peer, 1), "headers": headers}
    assert ClientAddresses(["10.0.0.0/8"]).of(scope) == client


def test_forwarded_headers_that_were_repeated() -> None:
    """Each proxy may add a header of its own in place of a comma."""
    headers = [(b"x-forwarded-for", b"6.6.6.6"), (b"x-forwarded-for", b"198.51.100.1")]
    scope: Any = {"client": ("10.0.0.1", 1), "headers": headers}
    assert ClientAddresses(["10.0.0.0/8"]).of(scope) == "198.51.100.1"
