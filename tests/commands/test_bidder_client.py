"""The bidder client against bidders that do everything wrong, over real sockets."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from commands.bidder_client import KeepAliveBidderClient
from commands.ports import BidderAnswer, BidderBroken, BidderFailed, BidderTimeout, BidderUnreachable
from domain.limits import BID_RESPONSE_HEAD_MAX_BYTES, BID_RESPONSE_MAX_BYTES, CONNECTIONS_PER_BIDDER_MAX
from tests.commands.eventually import eventually
from tests.commands.hostile_bidder import HostileBidder, hostile_bidder, ok, says

HEADERS = (("Content-Type", "application/json"), ("x-openrtb-version", "2.6"))
BODY = b'{"id":"1"}'
CERTIFICATE = Path(__file__).parent / "localhost.pem"
"""Signed by itself for 127.0.0.1, with its key: worth nothing outside these tests."""


@pytest.fixture
async def client() -> AsyncIterator[KeepAliveBidderClient]:
    client = KeepAliveBidderClient(allow_private=True)
    yield client
    await client.close()


async def post(client: KeepAliveBidderClient, url: str, seconds: float = 2.0) -> BidderAnswer:
    return await client.post(url, HEADERS, BODY, time.monotonic() + seconds)


# -- what a well-behaved bidder sees and may do ----------------------------------------------------


async def test_a_bidder_gets_the_request_and_its_answer_comes_back(client: KeepAliveBidderClient) -> None:
    """Method, path with query, host, headers and body arrive as they were given."""
    async with hostile_bidder(says(ok(b'{"bid":1}'))) as bidder:
        assert await post(client, f"{bidder.url}?a=1&b=%20 x") == BidderAnswer(200, b'{"bid":1}')
    head, body = bidder.requests[0]
    assert head.split(b"\r\n")[:-2] == [
        b"POST /bid?a=1&b=%20%20x HTTP/1.1",
        f"Host: 127.0.0.1:{bidder.port}".encode(),
        b"Content-Type: application/json",
        b"x-openrtb-version: 2.6",
        b"Content-Length: 10",
    ]
    assert body == BODY


async def test_calls_share_a_kept_connection(client: KeepAliveBidderClient) -> None:
    """Ten calls one after the other need one connection."""
    async with hostile_bidder(says(ok(b"{}"))) as bidder:
        for _ in range(10):
            await post(client, bidder.url)
        assert (bidder.connections, len(bidder.requests)) == (1, 10)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param([b"HTTP/1.1 204 No Content\r\n\r\n"], (204, b""), id="no bid"),
        pytest.param([bytes([byte]) for byte in ok(b"abc")], (200, b"abc"), id="byte by byte"),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"2;x=y\r\nde\r\n0\r\n\r\n"],
            (200, b"abcde"),
            id="chunked",
        ),
        pytest.param([b"HTTP/1.1 100 Continue\r\n\r\n", ok(b"abc")], (200, b"abc"), id="100 in a packet of its own"),
        pytest.param([b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok(b"abc")], (200, b"abc"), id="103 together"),
        pytest.param([ok(gzip.compress(b"abc" * 100), b"Content-Encoding: gzip")], (200, b"abc" * 100), id="gzip"),
        pytest.param([ok(b"", b"Content-Encoding: gzip")], (200, b""), id="nothing, in gzip"),
        pytest.param([ok(b"moved").replace(b"200 OK", b"500 Oh")], (500, b"moved"), id="an error status"),
        pytest.param([ok(b"x" * BID_RESPONSE_MAX_BYTES)], (200, b"x" * BID_RESPONSE_MAX_BYTES), id="largest body"),
    ],
)
async def test_every_form_of_answer_is_read(
    client: KeepAliveBidderClient, answer: list[bytes], expected: tuple[int, bytes]
) -> None:
    """Whatever way HTTP allows it to be written, the answer is the same, and the connection serves on."""
    async with hostile_bidder(says(*answer)) as bidder:
        assert await post(client, bidder.url) == expected
        assert await post(client, bidder.url) == expected
        assert bidder.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nabc", id="no length"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\nabc", id="HTTP/1.0"),
        pytest.param(ok(b"abc", b"Connection: close"), id="connection: close"),
    ],
)
async def test_a_closing_bidder_is_read_to_the_end(client: KeepAliveBidderClient, answer: bytes) -> None:
    """An answer that ends with the connection is whole, and the next call has a connection of its own."""
    async with hostile_bidder(says(answer, then_close=True)) as bidder:
        assert await post(client, bidder.url) == (200, b"abc")
        assert await post(client, bidder.url) == (200, b"abc")
        assert bidder.connections == 2


async def test_a_redirect_is_not_followed(client: KeepAliveBidderClient) -> None:
    """A redirect to a metadata service is handed back as what it is."""
    answer = b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest\r\nContent-Length: 0\r\n\r\n"
    async with hostile_bidder(says(answer)) as bidder:
        assert await post(client, bidder.url) == (302, b"")
        assert len(bidder.requests) == 1


# -- what a broken bidder costs ----------------------------------------------------------------------

BOMB = gzip.compress(b"\0" * 50_000_000)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.9\r\n", "not HTTP", id="garbage"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "before the answer was", id="hangs up"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Le", "before the answer was", id="hangs up in the head"),
        pytest.param(b"", "before the answer was", id="says nothing"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde", "not HTTP", id="2 lengths"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "not HTTP", id="negative length"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc", "not HTTP", id="bad chunk size"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nabc",
            "not HTTP",
            id="vast chunk",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", "before the answer", id="cut chunk"
        ),
        pytest.param(ok(b"x" * 10_000_000), "524288 bytes", id="10 MB with a length"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 10_000_000, "524288 bytes", id="10 MB without"),
        pytest.param(ok(BOMB, b"Content-Encoding: gzip"), "gzip: more than", id="gzip bomb"),
        pytest.param(ok(b"plain", b"Content-Encoding: gzip"), "gzip", id="not gzip"),
        pytest.param(ok(gzip.compress(b"abc")[:-6], b"Content-Encoding: gzip"), "gzip: the stream", id="cut gzip"),
        pytest.param(ok(gzip.compress(b"a") * 2, b"Content-Encoding: gzip"), "gzip: something", id="two gzips"),
        pytest.param(ok(b"abc", b"Content-Encoding: br"), "'br' was not asked for", id="brotli"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * BID_RESPONSE_HEAD_MAX_BYTES, "header lines", id="endless head"
        ),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000, "header lines", id="endless 100s"),
        pytest.param(b"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "not HTTP", id="upgrade"),
    ],
)
async def test_a_broken_answer_is_the_bidders_own_loss(
    client: KeepAliveBidderClient, answer: bytes, reason: str
) -> None:
    """It ends the call at once with a reason, and the connection with it."""
    async with hostile_bidder(says(answer, then_close=True)) as bidder:
        with pytest.raises(BidderBroken, match=reason):
            await post(client, bidder.url)
        with pytest.raises(BidderBroken, match=reason):
            await post(client, bidder.url)
        assert bidder.connections == 2


@pytest.mark.parametrize(
    "extra", [pytest.param(ok(b"poison"), id="a second answer"), pytest.param(b"\0garbage", id="garbage")]
)
@pytest.mark.parametrize("together", [True, False], ids=["together", "later"])
async def test_what_follows_an_answer_reaches_nobody(
    client: KeepAliveBidderClient, extra: bytes, *, together: bool
) -> None:
    """Bytes after the answer, in its packet or while the connection is idle, are not taken for the next call's."""
    first_answered = asyncio.Event()

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if bidder.connections > 1:
            writer.write(ok(b"second"))
        elif together:
            writer.write(ok(b"first") + extra)
        else:
            writer.write(ok(b"first"))
            await first_answered.wait()
            writer.write(extra)

    async with hostile_bidder(answer) as bidder:
        assert await post(client, bidder.url) == (200, b"first")
        first_answered.set()
        await eventually(lambda: _all_closed(client))
        assert await post(client, bidder.url) == (200, b"second")


def _all_closed(client: KeepAliveBidderClient) -> bool:
    return all(pool.is_empty for pool in client._pools.values())


def _swept(client: KeepAliveBidderClient) -> bool:
    client._sweep()
    return _all_closed(client)


async def test_two_answers_in_one_packet_do_not_mix(client: KeepAliveBidderClient) -> None:
    """Headers of what follows say nothing about the answer."""
    async with hostile_bidder(says(ok(b"plain") + ok(b"x", b"Content-Encoding: gzip"))) as bidder:
        assert await post(client, bidder.url) == (200, b"plain")


# -- time ------------------------------------------------------------------------------------------------


async def test_dripping_does_not_win_time(client: KeepAliveBidderClient) -> None:
    """A byte now and then keeps a bidder no longer than its deadline."""

    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in ok(b"x" * 1_000):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.01)

    async with hostile_bidder(drip) as bidder:
        started = time.monotonic()
        with pytest.raises(BidderTimeout):
            await post(client, bidder.url, 0.15)
        assert time.monotonic() - started < 2


async def test_no_time_left_means_no_request(client: KeepAliveBidderClient) -> None:
    """A deadline that has passed is a timeout, and the bidder is not asked."""
    async with hostile_bidder(says(ok(b"{}"))) as bidder:
        with pytest.raises(BidderTimeout):
            await post(client, bidder.url, -0.01)
        assert bidder.connections == 0


async def test_a_cancelled_call_takes_its_connection_along(client: KeepAliveBidderClient) -> None:
    """The next call does not get the cancelled one's answer."""
    async with hostile_bidder(lambda *_: asyncio.sleep(60)) as bidder:
        call = asyncio.create_task(post(client, bidder.url))
        await eventually(lambda: bidder.requests)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await eventually(lambda: _all_closed(client))


# -- connections -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
async def test_a_stale_connection_is_replaced(client: KeepAliveBidderClient, *, reset: bool) -> None:
    """A bidder that hangs up on a kept connection when the next request comes gets it again on a fresh one."""

    async def answer_the_first_of_a_connection(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(bidder.requests) == 2:
            if reset:
                raw = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            writer.close()
        else:
            writer.write(ok(b"{}"))

    async with hostile_bidder(answer_the_first_of_a_connection) as bidder:
        await post(client, bidder.url)
        assert await post(client, bidder.url) == (200, b"{}")
        assert (bidder.connections, len(bidder.requests)) == (2, 3)


async def test_a_half_closed_connection_is_not_used_again(client: KeepAliveBidderClient) -> None:
    """A bidder that answers and shuts its side down is served on a fresh connection next time."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ok(b"{}"))
        writer.write_eof()

    async with hostile_bidder(answer) as bidder:
        for _ in range(3):
            assert await post(client, bidder.url) == (200, b"{}")
        assert bidder.connections == 3


async def test_a_restarted_bidder_is_found_again(client: KeepAliveBidderClient) -> None:
    """After all kept connections went stale at once, every concurrent call still succeeds."""
    together = asyncio.Barrier(20)

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(bidder.requests) <= 20:
            await together.wait()
        writer.write(ok(b"{}"))
        if len(bidder.requests) <= 20:
            await writer.drain()
            asyncio.get_running_loop().call_later(0.05, writer.close)

    async with hostile_bidder(answer) as bidder:
        await asyncio.gather(*(post(client, bidder.url) for _ in range(20)))
        assert bidder.connections == 20
        answers = [await asyncio.gather(*(post(client, bidder.url) for _ in range(20))) for _ in range(20)]
        assert all(each == (200, b"{}") for batch in answers for each in batch)


async def test_a_slow_bidder_cannot_hold_more_than_its_share(client: KeepAliveBidderClient) -> None:
    """Past the bound of connections a call is refused at once."""
    async with hostile_bidder(lambda *_: asyncio.sleep(60)) as bidder:
        calls = [asyncio.create_task(post(client, bidder.url, 5.0)) for _ in range(CONNECTIONS_PER_BIDDER_MAX)]
        await asyncio.sleep(0)
        started = time.monotonic()
        with pytest.raises(BidderUnreachable, match="All 256 connections"):
            await post(client, bidder.url, 5.0)
        assert time.monotonic() - started < 2
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(result) for result in results} == {BidderTimeout}


async def test_a_connection_that_comes_too_late_serves_the_next_call() -> None:
    """Connecting goes on past the deadline of the call that asked for it."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        port = listener.getsockname()[1]
        client = KeepAliveBidderClient(allow_private=True)
        with pytest.raises(BidderTimeout):
            await post(client, f"http://127.0.0.1:{port}/", 0.0001)
        await eventually(lambda: any(pool._idle for pool in client._pools.values()))
        await client.close()


async def test_closing_ends_calls_in_progress() -> None:
    """A call that waits when the client is closed fails, as does a later one."""
    client = KeepAliveBidderClient(allow_private=True)
    async with hostile_bidder(lambda *_: asyncio.sleep(60)) as bidder:
        call = asyncio.create_task(post(client, bidder.url, 30))
        await eventually(lambda: bidder.requests)
        await client.close()
        with pytest.raises(BidderUnreachable, match="closed"):
            await call
        with pytest.raises(BidderUnreachable, match="closed"):
            await post(client, bidder.url)


async def test_an_idle_connection_is_closed_in_time(
    client: KeepAliveBidderClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not used for as long as the bound is closed, and a bidder without connections is forgotten."""
    async with hostile_bidder(says(ok(b"{}"))) as bidder:
        await post(client, bidder.url)
        client._sweep()
        assert not _all_closed(client)
        monkeypatch.setattr("commands.bidder_client.BIDDER_IDLE_MAX_SECONDS", 0)
        await eventually(lambda: _swept(client))
        client._sweep()
        assert client._pools == {}
        assert await post(client, bidder.url) == (200, b"{}")
        assert bidder.connections == 2


# -- addresses -------------------------------------------------------------------------------------------


async def test_nobody_listens(client: KeepAliveBidderClient) -> None:
    """A refused connection is unreachable, not broken."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(BidderUnreachable, match=r"127\.0\.0\.1"):
        await post(client, f"http://127.0.0.1:{port}/")


async def test_a_host_with_several_addresses(client: KeepAliveBidderClient) -> None:
    """A name is tried on each of its addresses: a bidder on 127.0.0.1 alone is found as localhost."""
    async with hostile_bidder(says(ok(b"{}"))) as bidder:
        assert await post(client, f"http://localhost:{bidder.port}/", 10) == (200, b"{}")


async def test_an_unknown_host(client: KeepAliveBidderClient) -> None:
    """A name that does not resolve is unreachable; the next call learns it from the cache."""
    for _ in range(2):
        with pytest.raises(BidderUnreachable, match="cannot be resolved"):
            await post(client, "http://bidder.invalid/", 10)
    assert list(client._hosts._answers) == ["bidder.invalid"]


@pytest.mark.parametrize(
    "url", ["ftp://a/", "bidder.example", "http://", "http://a:99999/", "http://u:p@127.0.0.1/", "http://[::1/"]
)
async def test_what_is_no_address(client: KeepAliveBidderClient, url: str) -> None:
    """A text that is not an http(s) address is refused before anything is sent."""
    with pytest.raises(BidderUnreachable):
        await post(client, url)


async def test_a_private_bidder_is_refused_unless_allowed() -> None:
    """Loopback, also by name, gets no connection at all."""
    client = KeepAliveBidderClient(allow_private=False)
    async with hostile_bidder(says(ok(b"{}"))) as bidder:
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "127.1", "0x7f000001"):
            with pytest.raises(BidderUnreachable, match="not allowed"):
                await post(client, bidder.url.replace("127.0.0.1", host))
        assert bidder.connections == 0
    await client.close()


async def test_header_lines_cannot_be_smuggled_in(client: KeepAliveBidderClient) -> None:
    """A line break in a header value is a programming error."""
    with pytest.raises(ValueError, match="control character"):
        await client.post("http://127.0.0.1/", [("a", "b\r\nc: d")], b"", time.monotonic() + 1)


# -- TLS -------------------------------------------------------------------------------------------------


@pytest.fixture
async def tls_bidder() -> AsyncIterator[HostileBidder]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    async with hostile_bidder(says(ok(b"{}")), tls=context) as bidder:
        yield bidder


async def test_tls_with_a_trusted_certificate(tls_bidder: HostileBidder) -> None:
    """Calls over TLS keep their connection too."""
    trust = ssl.create_default_context(cafile=str(CERTIFICATE))
    client = KeepAliveBidderClient(allow_private=True, tls=trust)
    for _ in range(3):
        assert await post(client, tls_bidder.url) == (200, b"{}")
    assert tls_bidder.connections == 1
    await client.close()


async def test_tls_with_a_stranger(client: KeepAliveBidderClient, tls_bidder: HostileBidder) -> None:
    """A certificate that no trusted authority signed gets no request."""
    with pytest.raises(BidderUnreachable, match="certificate verify failed"):
        await post(client, tls_bidder.url)
    assert tls_bidder.requests == []


async def test_tls_towards_plain_text(client: KeepAliveBidderClient) -> None:
    """A server that does not speak TLS is unreachable over https."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    with pytest.raises(BidderFailed):
        await post(client, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    server.close()
