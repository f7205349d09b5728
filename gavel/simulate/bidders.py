"""A simulated bidder as an HTTP server process: `python -m gavel.simulate.bidders CHARACTER [--port N] [--seed N]`.

It prints its port as the first line and serves until it is ended.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

import httptools
import uvloop

from gavel.simulate.characters import CHARACTERS, Bidder, Reply

HOST = "127.0.0.1"
BIND_TRIES = 20
BIND_PAUSE_SECONDS = 0.1
_REASONS = {200: "OK", 204: "No Content", 400: "Bad Request", 404: "Not Found", 500: "Internal Server Error"}


class BidderConnection(asyncio.Protocol):
    """One kept-alive connection of the exchange; the `on_…` methods are called by the parser."""

    def __init__(self, bidder: Bidder) -> None:
        self._bidder = bidder
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._path = b""
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if self._transport is not None:
                self._transport.abort()

    def on_message_begin(self) -> None:
        self._path, self._body = b"", b""

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        path = urlsplit(self._path).path
        if path == b"/bid":
            reply = self._bidder.reply(self._body)
        elif path == b"/":
            reply = Reply(self._bidder.character.key.encode())
        else:
            reply = Reply(None) if path in (b"/win", b"/billing", b"/loss") else Reply(b"", status=404)
        if reply.delay_ms:
            self._loop.call_later(reply.delay_ms / 1_000, self._send, reply)
        else:
            self._send(reply)

    def _send(self, reply: Reply) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if reply.hang_up:
            transport.abort()
            return
        status = 204 if reply.body is None else reply.status
        head = f"HTTP/1.1 {status} {_REASONS[status]}\r\nx-openrtb-version: 2.6\r\n"
        if reply.body is None:
            transport.write(f"{head}\r\n".encode())
            return
        head += f"Content-Type: application/json\r\nContent-Length: {len(reply.body)}\r\n\r\n"
        body = reply.body[: len(reply.body) // 2] if reply.cut else reply.body
        transport.write(head.encode() + body)
        if reply.cut:
            transport.close()


async def serve(character: str, port: int, seed: int) -> None:
    """Serves without end; port 0, or one that stays taken, lets the system choose."""
    bidder: Bidder | None = None

    def connection() -> BidderConnection:
        assert bidder is not None, "it listens only once it knows its own address"
        return BidderConnection(bidder)

    server = await _bind(connection, port)
    async with server:
        port = server.sockets[0].getsockname()[1]
        bidder = Bidder(CHARACTERS[character], seed, f"http://{HOST}:{port}")
        print(port, flush=True)  # noqa: T201 - the line that the parent process waits for
        await server.serve_forever()


async def _bind(connection: Callable[[], BidderConnection], port: int) -> asyncio.Server:
    """Waits a moment for the port: a bidder of an earlier run may be about to leave it."""
    loop = asyncio.get_running_loop()
    for _ in range(BIND_TRIES):
        try:
            return await loop.create_server(connection, HOST, port)
        except OSError:
            await asyncio.sleep(BIND_PAUSE_SECONDS)
    return await loop.create_server(connection, HOST, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("character", choices=sorted(CHARACTERS))
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    uvloop.run(serve(arguments.character, arguments.port, arguments.seed))


if __name__ == "__main__":
    main()
