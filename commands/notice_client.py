"""Calls the address of a notice: somebody else's text, and never a way into our own network.

What is connected to is checked where the socket is made, after every answer of DNS, so no name, redirect or
rebinding leads past it. Redirects are followed by hand, each checked like the first address.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Self
from urllib.parse import urljoin

from aiohttp import (
    AddrInfoType,
    ClientError,
    ClientResponse,
    ClientSession,
    DummyCookieJar,
    TCPConnector,
)
from yarl import URL

from domain.address_guard import refusal
from domain.endpoint import endpoint_fault, url_as_sent
from domain.errors import GavelError
from domain.event_parts import Viewer
from domain.limits import (
    NOTICE_BODY_MAX_BYTES,
    NOTICE_REDIRECTS_MAX,
    NOTICE_SENT_URL_MAX_CHARS,
    NOTICE_TIMEOUT_SECONDS,
    NOTICES_IN_FLIGHT_MAX,
)

BODY_SECONDS = 0.5
"""The answer is known without the body: reading it only lets the connection serve the next notice."""
REDIRECTS = frozenset({301, 302, 303, 307, 308})
NOT_DELIVERED = (ClientError, OSError, ValueError)
"""A ValueError is of an address or header that the library does not take."""


class NoticeRefused(GavelError):
    """The address must not be called, now or later."""


class NoticeUndelivered(GavelError):
    """There was no answer: it may work another time."""


class NoticeClient:
    """GETs over kept-alive connections. Use it as an async context manager."""

    def __init__(self, *, allow_private: bool, timeout_s: float = NOTICE_TIMEOUT_SECONDS) -> None:
        """`allow_private` opens loopback and private addresses, never link-local ones."""
        self._allow_private = allow_private
        self._timeout_s = timeout_s
        self._session: ClientSession | None = None

    def __repr__(self) -> str:
        return f"NoticeClient(allow_private={self._allow_private})"

    async def __aenter__(self) -> Self:
        # A look-up holds a thread until DNS gives in, longer than its call is waited for: with the few threads of a
        # usual loop, names that DNS does not answer would keep all others from being looked up.
        lookups = ThreadPoolExecutor(NOTICES_IN_FLIGHT_MAX, thread_name_prefix="lookup")
        asyncio.get_running_loop().set_default_executor(lookups)
        connector = TCPConnector(limit=NOTICES_IN_FLIGHT_MAX, socket_factory=self._allowed_socket)
        self._session = ClientSession(
            connector=connector, cookie_jar=DummyCookieJar(), auto_decompress=False, headers={"User-Agent": "Gavel"}
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()

    async def call(self, url: str, viewer: Viewer | None) -> int:
        """The status of the answer, after redirects; `viewer` is told in headers.

        Raises NoticeRefused for an address that is never called, NoticeUndelivered when there is no answer in time.
        """
        fault = self._fault(url)
        if fault is not None:
            raise NoticeRefused(f"The address {fault}.")
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._followed(url, _headers(viewer))
        except TimeoutError as error:
            raise NoticeUndelivered(f"No answer within {self._timeout_s:g} s") from error
        except NOT_DELIVERED as error:
            raise NoticeUndelivered(str(error) or type(error).__name__) from error

    async def _followed(self, url: str, headers: Mapping[str, str]) -> int:
        assert self._session is not None, "the client is not open"
        for _ in range(NOTICE_REDIRECTS_MAX + 1):
            async with self._session.get(URL(url, encoded=True), headers=headers, allow_redirects=False) as response:
                location = response.headers.get("Location")
                await _read_on(response)
            if response.status not in REDIRECTS or location is None:
                return response.status
            url = url_as_sent(urljoin(url, location)).partition("#")[0]
            fault = self._fault(url)
            if fault is not None:
                raise NoticeUndelivered(f"It redirects to an address that {fault}.")
        raise NoticeUndelivered(f"It redirects more than {NOTICE_REDIRECTS_MAX} times.")

    def _fault(self, url: str) -> str | None:
        return endpoint_fault(url, allow_private=self._allow_private, max_chars=NOTICE_SENT_URL_MAX_CHARS)

    def _allowed_socket(self, address: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, place = address
        reason = refusal(str(place[0]), allow_private=self._allow_private)
        if reason is not None:
            raise PermissionError(errno.EACCES, f"it leads to an address that is not allowed: {reason}")
        return socket.socket(family, kind, protocol)


def _headers(viewer: Viewer | None) -> dict[str, str]:
    """Whose device it was that a billing notice is about: OpenRTB 2.6 section 7.8."""
    if viewer is None:
        return {}
    told = {"X-Forwarded-For": viewer.ip, "X-Device-IP": viewer.ip, "X-Device-User-Agent": viewer.user_agent}
    return {name: value for name, value in told.items() if value}


async def _read_on(response: ClientResponse) -> None:
    """Reads a short body, so that the connection can be kept; from a long or slow one it is closed."""
    with suppress(ClientError, TimeoutError):
        async with asyncio.timeout(BODY_SECONDS):
            left = NOTICE_BODY_MAX_BYTES
            while left > 0 and (chunk := await response.content.read(left)):
                left -= len(chunk)
