"""Three cheap bidders in a process of their own: they bid at once and at a fixed price.

Run as `python -m bench.bidders`; prints their ports as a JSON list and serves until it is ended.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import httptools
import msgspec
import uvloop

PRICES = ("1.85", "2.40", "1.10")
MARKUP = (
    '<a href=\\"${GAVEL_CLICK_URL}\\" target=\\"_blank\\">'
    '<img src=\\"https://cdn.bidder.example/creatives/7f3a/banner-300x250.png?crid=cr-18\\" '
    'width=\\"300\\" height=\\"250\\" alt=\\"\\"></a>'
)


class Imp(msgspec.Struct):
    id: str


class Request(msgspec.Struct):
    """All that these bidders look at."""

    id: str
    imp: list[Imp]


class Bidder(asyncio.Protocol):
    """Answers each POST with one bid for its first imp."""

    def __init__(self, number: int, decoder: msgspec.json.Decoder[Request]) -> None:
        self._number = number
        self._decode = decoder.decode
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's does not inherit from it
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        request = self._decode(self._body)
        self._body = b""
        answer = self._answer(request).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\n\r\n"
        self._transport.write(head.encode() + answer)

    def _answer(self, request: Request) -> str:
        number = self._number
        bid = (
            f'{{"id":"{request.id}-{number}","impid":"{request.imp[0].id}","price":{PRICES[number]},'
            f'"adid":"ad-{number}","crid":"cr-18{number}","adomain":["brand-{number}.example"],'
            f'"w":300,"h":250,"cat":["IAB3"],"nurl":"https://bidder-{number}.example/win?p=${{AUCTION_PRICE}}",'
            f'"adm":"{MARKUP}"}}'
        )
        return f'{{"id":"{request.id}","cur":"USD","seatbid":[{{"seat":"seat-{number}","bid":[{bid}]}}]}}'


async def serve() -> None:
    loop = asyncio.get_running_loop()
    decoder = msgspec.json.Decoder(Request)
    servers = [
        await loop.create_server(lambda number=number: Bidder(number, decoder), "127.0.0.1", 0)  # type: ignore[misc]
        for number in range(len(PRICES))
    ]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    sys.stdout.buffer.write(msgspec.json.encode(ports) + b"\n")
    sys.stdout.flush()
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    uvloop.run(serve())
