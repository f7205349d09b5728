"""A lean HTTP/1.1 client over kept-alive connections: the simulators must cost less than what they load."""

from __future__ import annotations

import asyncio
from typing import NamedTuple, cast
from urllib.parse import urlsplit

import httptools

from domain.errors import Fault, InvalidInput, Unavailable

CONNECTIONS_MAX = 512
ANSWER_TIMEOUT_SECONDS = 10.0


class ExchangeUnreachable(Unavailable):
    """The exchange did not answer: no connection, a connection that broke, or no answer in time."""


class Answer(NamedTuple):
    """What came back; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class ExchangeClient:
    """Requests to one exchange. Opens connections as they are needed, keeps them, and queues past the bound."""

    def __init__(self, url: str, *, connections_max: int = CONNECTIONS_MAX) -> None:
        """Raises InvalidInput when the address is not plain `http://HOST[:PORT]`."""
        address = urlsplit(url)
        if address.scheme != "http" or not address.hostname:
            raise InvalidInput([Fault("url", f"{url!r} is not of the form http://HOST:PORT")])
        self.url = url.rstrip("/")
        self._host, self._port = address.hostname, address.port or 80
        self._host_header = f"Host: {address.netloc}\r\n"
        self._slots = asyncio.Semaphore(connections_max)
        self._idle: list[_Connection] = []

    def __repr__(self) -> str:
        return f"ExchangeClient({self.url!r})"

    async def get(self, target: str, headers: str = "") -> Answer:
        """`headers` are complete lines, each ended by CRLF. Raises ExchangeUnreachable."""
        return await self._exchange(f"GET {target} HTTP/1.1\r\n{self._host_header}{headers}\r\n".encode())

    async def post(self, target: str, body: bytes, headers: str = "") -> Answer:
        """Posts JSON; `headers` as for `get`. Raises ExchangeUnreachable."""
        head = (
            f"POST {target} HTTP/1.1\r\n{self._host_header}{headers}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return await self._exchange(head.encode() + body)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    async def _exchange(self, request: bytes) -> Answer:
        async with self._slots:
            connection = self._kept() or await self._connect()
            answer = await connection.exchange(request)
            if connection.reusable:
                self._idle.append(connection)
            return answer

    def _kept(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable:
                return connection
        return None

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
                _, connection = await loop.create_connection(_Connection, self._host, self._port)
        except (OSError, TimeoutError) as error:
            raise ExchangeUnreachable(f"{self.url} does not accept connections: {error}") from error
        return connection


class _Connection(asyncio.Protocol):
    """One connection, one request at a time. The `on_…` methods are called by the parser."""

    def __init__(self) -> None:
        self.reusable = False
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body = b""

    async def exchange(self, request: bytes) -> Answer:
        assert self._transport is not None
        assert self._waiter is None, "one request at a time"
        self._waiter = self._loop.create_future()
        self._headers, self._body = {}, b""
        self._transport.write(request)
        alarm = self._loop.call_later(ANSWER_TIMEOUT_SECONDS, self._fail, "no answer in time")
        try:
            return await self._waiter
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            alarm.cancel()
            self._waiter = None

    def close(self) -> None:
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self.reusable = cast("asyncio.Transport", transport), True

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"not HTTP: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the connection broke: {exc or 'closed by the exchange'}")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.reusable = self._parser.should_keep_alive()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(Answer(self._parser.get_status_code(), self._headers, self._body))
        if not self.reusable:
            self.close()

    def _fail(self, reason: str) -> None:
        self.close()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(ExchangeUnreachable(reason))
