"""Posts bid requests to bidders over kept-alive connections, each call within its own deadline.

The fan-out is what an exchange spends its time on, so this client does one thing only: a POST whose head was
prepared once per address, one write, one parse, one timer. Redirects are answers like any other: not followed.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from commands.bidder_connection import BidderCall
from commands.bidder_pool import BidderPool, Origin
from commands.host_addresses import HostAddresses
from commands.ports import BidderAnswer, BidderTimeout, BidderUnreachable
from domain.limits import BIDDER_IDLE_MAX_SECONDS, BIDDER_URLS_MAX

DEFAULT_PORTS = {"http": 80, "https": 443}
SWEEP_SECONDS = BIDDER_IDLE_MAX_SECONDS / 4
CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
URL_CHARACTERS = "/%:?#[]@!$&'()*+,;=~"
"""Not to be percent-encoded in the target of a request."""


class _Target(NamedTuple):
    origin: Origin
    head: bytes
    """The request up to the value of Content-Length."""


class KeepAliveBidderClient:
    """Implements ports.BidderClient. Belongs to the event loop of its first call; `close` it in the end."""

    def __init__(self, *, allow_private: bool, tls: ssl.SSLContext | None = None) -> None:
        """`allow_private` opens loopback and private ranges; `tls` replaces the system's trust in authorities."""
        self._tls = tls or ssl.create_default_context()
        self._hosts = HostAddresses(allow_private=allow_private)
        self._targets: dict[tuple[str, tuple[tuple[str, str], ...]], _Target] = {}
        self._pools: dict[Origin, BidderPool] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"KeepAliveBidderClient({len(self._pools)} bidders)"

    @property
    def connections_opened(self) -> int:
        """By all calls so far, to the bidders that are still known."""
        return sum(pool.opened for pool in self._pools.values())

    async def post(self, url: str, headers: Sequence[tuple[str, str]], body: bytes, deadline: float) -> BidderAnswer:
        """One POST, answered before `deadline` (monotonic seconds); the body comes unpacked.

        Raises BidderTimeout, BidderUnreachable or BidderBroken.
        """
        loop = asyncio.get_running_loop()
        if deadline <= loop.time():
            raise BidderTimeout("No time was left to ask.")
        key = (url, tuple(headers))
        target = self._targets.get(key) or self._prepare(key)
        pool = self._pools.get(target.origin) or self._open_pool(target.origin)
        call = BidderCall(b"%b%d\r\n\r\n%b" % (target.head, len(body), body), loop.create_future())
        timer = loop.call_at(deadline, call.expire)
        try:
            pool.dispatch(call)
            return await call.answer
        finally:
            timer.cancel()
            call.abandon()  # of effect only if the caller was cancelled

    async def close(self) -> None:
        """Closes every connection; calls in progress fail."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for pool in self._pools.values():
            await pool.close()
        self._pools.clear()
        await self._hosts.close()
        await asyncio.sleep(0)  # sockets are closed in the loop's next turn

    def _prepare(self, key: tuple[str, tuple[tuple[str, str], ...]]) -> _Target:
        if len(self._targets) >= BIDDER_URLS_MAX:
            self._targets.clear()
        target = self._targets[key] = _target(*key)
        return target

    def _open_pool(self, origin: Origin) -> BidderPool:
        if self._closed:
            raise BidderUnreachable("The client is closed.")
        if len(self._pools) >= BIDDER_URLS_MAX:
            raise BidderUnreachable(f"Connections to {BIDDER_URLS_MAX} bidders are open already.")
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)
        tls = self._tls if origin.scheme == "https" else None
        pool = self._pools[origin] = BidderPool(origin, self._hosts, tls)
        return pool

    def _sweep(self) -> None:
        """Closes what has been idle too long and forgets bidders without a connection."""
        for origin, pool in list(self._pools.items()):
            pool.close_idle(asyncio.get_running_loop().time() - BIDDER_IDLE_MAX_SECONDS)
            if pool.is_empty:
                del self._pools[origin]
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep) if self._pools else None


def _target(url: str, headers: tuple[tuple[str, str], ...]) -> _Target:
    """Raises BidderUnreachable for an address that cannot be posted to, ValueError for a header that is none."""
    try:
        parts = urlsplit(url)
        scheme, host = parts.scheme, parts.hostname
        default_port = DEFAULT_PORTS[scheme]
        port = parts.port or default_port
        host = (host or "").encode("ascii" if host and host.isascii() else "idna").decode()
    except (ValueError, KeyError) as error:
        raise BidderUnreachable(f"{url!r} is not an http(s) address: {error}") from None
    if not host or parts.username is not None:
        raise BidderUnreachable(f"{url!r} has no host, or credentials in front of it")
    authority = f"[{host}]" if ":" in host else host
    if port != default_port:
        authority = f"{authority}:{port}"
    resource = quote(f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}", safe=URL_CHARACTERS)
    lines = [f"POST {resource} HTTP/1.1", f"Host: {authority}"]
    for name, value in headers:
        if CONTROL_CHARACTERS.search(name + value):
            raise ValueError(f"the header {name!r} has a control character in it")
        lines.append(f"{name}: {value}")
    head = "\r\n".join([*lines, "Content-Length: "]).encode("latin-1")
    return _Target(Origin(scheme, host, port), head)
