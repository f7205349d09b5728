"""Calling the address of a notice: what is sent, what is followed, and what is never connected to."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import web

from commands.notice_client import NoticeClient, NoticeRefused, NoticeUndelivered
from domain.event_parts import Viewer
from tests.commands.notice_receiver import Behaviour, NoticeReceiver


async def call(url: str, viewer: Viewer | None = None, *, allow_private: bool = True, timeout_s: float = 5.0) -> int:
    async with NoticeClient(allow_private=allow_private, timeout_s=timeout_s) as client:
        return await client.call(url, viewer)


def redirecting(location: str) -> Behaviour:
    async def redirect(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": location})

    return redirect


async def test_the_address_arrives_as_it_is() -> None:
    """Not a character of it is normalised: it may be signed."""
    async with NoticeReceiver().listening() as receiver:
        path = "/%2F%7e//a/../b?x=%61&&y=[1]+%20$'()*,;"
        assert await call(receiver.url + path) == 204
        assert receiver.paths == [path]


async def test_the_viewer_stands_in_headers() -> None:
    """Of a billing notice, as section 7.8 wants it; other notices are about nobody."""
    async with NoticeReceiver().listening() as receiver:
        await call(receiver.url, Viewer(ip="203.0.113.0", user_agent="Browser/1"))
        await call(receiver.url)
        billing, other = (each.headers for each in receiver.calls)
        told = {"X-Forwarded-For": "203.0.113.0", "X-Device-IP": "203.0.113.0", "X-Device-User-Agent": "Browser/1"}
        assert told.items() <= billing.items()
        assert not told.keys() & other.keys()


async def test_a_redirect_is_followed() -> None:
    """To another host too, and a relative one."""
    async with NoticeReceiver().listening() as target:
        async with NoticeReceiver(redirecting(f"{target.url}/there?x=1#top")).listening() as receiver:
            assert await call(f"{receiver.url}/here") == 204
        assert target.paths == ["/there?x=1"]


async def test_redirects_come_to_an_end() -> None:
    """A circle is left after a few steps."""
    async with NoticeReceiver(redirecting("/again")).listening() as receiver:
        with pytest.raises(NoticeUndelivered, match="more than 3 times"):
            await call(receiver.url)
        assert len(receiver.calls) == 4


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("http://169.254.169.254/latest/meta-data", "link-local"),
        ("http://[fe80::1]/", "link-local"),
        ("http://[::ffff:169.254.169.254]/", "link-local"),
        ("file:///etc/passwd", "must start with http"),
        ("http://user:secret@127.0.0.1/", "must not carry credentials"),
    ],
)
async def test_a_redirect_is_checked_like_the_first_address(location: str, why: str) -> None:
    """Private addresses are allowed here, but nothing that never is."""
    async with NoticeReceiver(redirecting(location)).listening() as receiver:
        with pytest.raises(NoticeUndelivered, match=why):
            await call(receiver.url)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/", "http://localhost:{port}/", "http://[::1]:{port}/", "http://0.0.0.0:{port}/",
        "http://127.1:{port}/", "http://0x7f000001:{port}/", "http://2130706433:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/", "http://[64:ff9b::7f00:1]:{port}/", "http://10.0.0.1/",
        "http://192.168.0.1/", "http://172.16.0.1/", "http://169.254.169.254/", "ftp://dsp.example/", "nonsense", "",
    ],
)  # fmt: skip
async def test_forbidden_addresses_are_refused_for_good(url: str) -> None:
    """In whatever way a private address is written: nothing is connected to, and nothing tried again."""
    async with NoticeReceiver().listening() as receiver:
        port = receiver.url.rpartition(":")[2]
        with pytest.raises(NoticeRefused):
            await call(url.format(port=port), allow_private=False)
        assert receiver.calls == []


@pytest.mark.parametrize("name", ["localhost.", "rebound.example"])
async def test_a_name_that_leads_home_is_not_connected_to(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts is the address that is connected to, whatever DNS has said before."""
    answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]
    asked = []

    async def getaddrinfo(host: str, port: int, **_: Any) -> Any:
        asked.append(host)
        return [(*each[:4], ("127.0.0.1", port)) for each in answer]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    async with NoticeReceiver().listening() as receiver:
        port = receiver.url.rpartition(":")[2]
        with pytest.raises(NoticeUndelivered, match=r"127\.0\.0\.1 is loopback"):
            await call(f"http://{name}:{port}/", allow_private=False)
        assert asked
        assert receiver.calls == []


async def test_names_that_dns_does_not_answer_keep_no_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many of them are asked for, another name is looked up meanwhile."""
    resolve, answered = socket.getaddrinfo, threading.Event()

    def getaddrinfo(host: str, *rest: Any, **options: Any) -> Any:
        if host.endswith(".slow.example"):
            answered.wait()
            raise socket.gaierror
        return resolve(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    async with NoticeReceiver().listening() as receiver, NoticeClient(allow_private=True, timeout_s=5.0) as client:
        slow = [asyncio.create_task(client.call(f"http://{number}.slow.example/", None)) for number in range(100)]
        try:
            await asyncio.sleep(0)
            port = receiver.url.rpartition(":")[2]
            assert await client.call(f"http://localhost:{port}/", None) == 204
        finally:
            answered.set()
        assert {type(each) for each in await asyncio.gather(*slow, return_exceptions=True)} == {NoticeUndelivered}


async def test_nobody_is_waited_for_without_end() -> None:
    """A receiver that does not answer, and one whose body does not end."""

    async def silent(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        raise AssertionError

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with suppress(ConnectionError):
            while True:
                await response.write(b"x" * 65_536)
        return response

    async with NoticeReceiver(silent).listening() as receiver:
        with pytest.raises(NoticeUndelivered, match=r"^No answer within 0\.2 s$"):
            await call(receiver.url, timeout_s=0.2)
    async with NoticeReceiver(endless).listening() as receiver:
        assert await call(receiver.url) == 200


async def test_a_receiver_that_is_away_or_speaks_no_http() -> None:
    """It may be back another time."""
    with pytest.raises(NoticeUndelivered):
        await call("http://127.0.0.1:1/")

    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\0\1\2 nonsense\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        with pytest.raises(NoticeUndelivered):
            await call(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")


async def test_a_connection_is_kept() -> None:
    """Several notices to one host share it, whatever bodies come back."""
    connections = set()

    async def with_body(request: web.Request) -> web.Response:
        assert request.transport is not None
        connections.add(request.transport.get_extra_info("peername"))
        return web.Response(text="thank you")

    async with NoticeReceiver(with_body).listening() as receiver, NoticeClient(allow_private=True) as client:
        for _ in range(5):
            assert await client.call(receiver.url, None) == 200
    assert len(connections) == 1
