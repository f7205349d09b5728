"""A proxy on loopback that stops to pass on what a server answers, while its connections stay open."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

CHUNK_BYTES = 64 * 1024
KAFKA_HEAD = struct.Struct(">ih")
"""Of a request: how many bytes follow the first four, and which call it is."""
FETCH = 1


class SwallowingProxy:
    """Stands before one server; `swallow` makes present connections silent, later ones work."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self.port = 0
        self.swallowed_bytes = 0
        self._open: set[asyncio.StreamWriter] = set()
        """To clients."""
        self._silent: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def swallow(self) -> None:
        """From now on nothing comes back over the connections that there are."""
        self._silent |= self._open

    async def _passed(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(*self._server)
        pumps = (self._requests(reader, server_writer, writer), self._answers(server_reader, writer))
        tasks = {asyncio.create_task(pump) for pump in pumps}
        self._tasks |= tasks
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._tasks -= tasks
            for each in (writer, server_writer):
                each.transport.abort()
            self._open.discard(writer)
            self._silent.discard(writer)

    async def _requests(
        self, reader: asyncio.StreamReader, server: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        self._open.add(client)
        while chunk := await reader.read(CHUNK_BYTES):
            server.write(chunk)
            await server.drain()

    async def _answers(self, server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        while chunk := await server.read(CHUNK_BYTES):
            await self._pass_on(chunk, client)

    async def _pass_on(self, chunk: bytes, client: asyncio.StreamWriter) -> None:
        if client in self._silent:
            self.swallowed_bytes += len(chunk)
            return
        client.write(chunk)
        await client.drain()


class KafkaProxy(SwallowingProxy):
    """Silences connections that fetch, and no others: heartbeats have their own.

    A broker tells its clients its own address; what it tells here is the proxy's.
    """

    async def _requests(
        self, reader: asyncio.StreamReader, server: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        while True:
            head = await reader.readexactly(KAFKA_HEAD.size)
            size, call = KAFKA_HEAD.unpack(head)
            if call == FETCH:
                self._open.add(client)
            server.write(head + await reader.readexactly(size + 4 - KAFKA_HEAD.size))
            await server.drain()

    async def _answers(self, server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        host, port = self._server
        own, mine = (host.encode() + struct.pack(">i", each) for each in (port, self.port))
        while True:
            size = await server.readexactly(4)
            answer = await server.readexactly(int.from_bytes(size, "big"))
            await self._pass_on(size + answer.replace(own, mine), client)


@asynccontextmanager
async def running(proxy: SwallowingProxy) -> AsyncIterator[None]:
    """Listens on a free port until the end of the block."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await proxy._passed(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield
    finally:
        server.close()
        for task in [*proxy._tasks]:
            task.cancel()
