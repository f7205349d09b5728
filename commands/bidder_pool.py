"""The connections to one bidder."""

from __future__ import annotations

import asyncio
import ssl
from typing import NamedTuple

from commands.bidder_connection import BidderCall, BidderConnection
from commands.host_addresses import HostAddresses
from commands.ports import BidderUnreachable
from domain.limits import BIDDER_CONNECT_MAX_SECONDS, CONNECTIONS_PER_BIDDER_MAX, LATE_ANSWERS_PER_BIDDER_MAX


class Origin(NamedTuple):
    """What a connection can be shared for."""

    scheme: str
    host: str
    port: int


class BidderPool:
    """Hands a call to the connection that was used last, or to a fresh one, or refuses it: nothing queues."""

    def __init__(self, origin: Origin, hosts: HostAddresses, tls: ssl.SSLContext | None) -> None:
        self._origin = origin
        self._hosts = hosts
        self._tls = tls
        self._idle: list[BidderConnection] = []
        """The one used last stands last."""
        self._open: set[BidderConnection] = set()
        self.opened = 0
        """Connections so far."""
        self._late: set[BidderConnection] = set()
        """Those whose answer is waited for although nobody can use it any more."""
        self._connecting: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"BidderPool({self._origin.host}:{self._origin.port}, {len(self._open)} open, {len(self._idle)} idle)"

    @property
    def is_empty(self) -> bool:
        return not self._open and not self._connecting

    def dispatch(self, call: BidderCall) -> None:
        """Sends the call on its way; it fails as BidderUnreachable when too many are on theirs."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                call.on_kept_connection = True
                connection.send(call)
                return
        self._connect(call)

    # -- the connections' owner --------------------------------------------------------------------

    def keep(self, connection: BidderConnection) -> None:
        connection.idle_since = asyncio.get_running_loop().time()
        self._late.discard(connection)
        self._idle.append(connection)

    def lost(self, connection: BidderConnection) -> None:
        self._open.discard(connection)
        self._late.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def retry(self, call: BidderCall) -> None:
        # Fresh, because what made one idle connection stale (a restart of the bidder) did so to all of them.
        call.on_kept_connection = False
        self._connect(call)

    def may_be_late(self, connection: BidderConnection) -> bool:
        # Bounded, because each of them is a connection that the next call cannot have.
        if len(self._late) >= LATE_ANSWERS_PER_BIDDER_MAX:
            return False
        self._late.add(connection)
        return True

    # -- opening and closing -----------------------------------------------------------------------

    def _connect(self, call: BidderCall) -> None:
        if len(self._open) + len(self._connecting) >= CONNECTIONS_PER_BIDDER_MAX:
            call.fail(BidderUnreachable(f"All {CONNECTIONS_PER_BIDDER_MAX} connections to the bidder are busy."))
            return
        task = asyncio.get_running_loop().create_task(self._connect_and_send(call))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect_and_send(self, call: BidderCall) -> None:
        try:
            connection = await self._reach()
        except BidderUnreachable as error:
            call.fail(error)
            return
        except asyncio.CancelledError:
            call.fail(BidderUnreachable("The client was closed."))
            raise
        self._open.add(connection)
        self.opened += 1
        if not connection.usable:
            self._open.discard(connection)
            call.fail(BidderUnreachable(f"{self._origin.host} closed the connection at once"))
        elif call.answer.done():
            # Too late for this call, in time for the next one.
            self.keep(connection)
        else:
            connection.send(call)

    async def _reach(self) -> BidderConnection:
        """Tries the host's allowed addresses in turn; raises BidderUnreachable with what each one said."""
        loop = asyncio.get_running_loop()
        faults = []
        for address in await self._hosts.of(self._origin.host):
            try:
                async with asyncio.timeout(BIDDER_CONNECT_MAX_SECONDS):
                    _, connection = await loop.create_connection(
                        lambda: BidderConnection(self),
                        address,
                        self._origin.port,
                        ssl=self._tls,
                        server_hostname=self._origin.host if self._tls else None,
                    )
            except OSError as error:  # a timeout and a TLS failure are ones too
                faults.append(f"{address}: {str(error) or type(error).__name__}")
            else:
                return connection
        raise BidderUnreachable("; ".join(faults))

    def close_idle(self, idle_before: float) -> None:
        """Closes connections that were given back before that event-loop time."""
        while self._idle and self._idle[0].idle_since < idle_before:
            self._idle.pop(0).abort()

    async def close(self) -> None:
        for task in list(self._connecting):
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        for connection in list(self._open):
            connection.close()
