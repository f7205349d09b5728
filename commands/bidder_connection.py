"""One connection to a bidder: one request at a time, one answer for each, parsed as it comes in.

What the bidder sends is not trusted: header lines and body are bounded, and a connection on which anything was
odd is never used again, so that no answer can be taken for another call's. An answer that comes too late is waited
for a while all the same: for the log, and because a connection that was closed had to be opened again for the next
call, which would make that one late too.
"""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from commands.gunzip import NotGzip, TooLarge, gunzip
from commands.ports import BidderAnswer, BidderBroken, BidderFailed, BidderTimeout, BidderUnreachable, LateAnswer
from domain.limits import BID_RESPONSE_HEAD_MAX_BYTES, BID_RESPONSE_MAX_BYTES, LATE_ANSWER_MAX_SECONDS

NOTED_HEADERS = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})
BODILESS_STATUSES = frozenset({204, 304})
FIRST_FINAL_STATUS = 200


class BidderCall:
    """One request and what becomes of it. `answer` is done exactly once, and `late` if it is there."""

    __slots__ = ("answer", "connection", "late", "late_until", "on_kept_connection", "request")

    def __init__(self, request: bytes, answer: asyncio.Future[BidderAnswer]) -> None:
        self.request = request
        self.answer = answer
        self.connection: BidderConnection | None = None
        self.on_kept_connection = False
        """Then the bidder may have closed it before it saw the request."""
        self.late: asyncio.Future[LateAnswer | None] | None = None
        self.late_until: asyncio.TimerHandle | None = None

    def expire(self) -> None:
        """The deadline has come: the caller leaves, and the answer is waited for if the connection's owner lets it."""
        if self.answer.done():
            return
        if self.connection is not None and self.connection.may_be_late():
            loop = self.answer.get_loop()
            self.late = loop.create_future()
            self.late_until = loop.call_later(LATE_ANSWER_MAX_SECONDS, self._give_up)
            self.answer.set_exception(BidderTimeout(late=self.late))
        else:
            self.fail(BidderTimeout())

    def complete(self, answer: BidderAnswer) -> None:
        """The whole answer is here."""
        if not self.answer.done():
            self.answer.set_result(answer)
        elif self.late is not None:
            self._end_wait(LateAnswer(answer, self.answer.get_loop().time()))

    def fail(self, error: BidderFailed) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)
        self._give_up()

    def abandon(self) -> None:
        """The caller has left; an answer that is late is still waited for."""
        if self.late is None:
            self._give_up()

    def _give_up(self) -> None:
        """Nobody waits any more."""
        if self.late is not None:
            self._end_wait(None)
        if self.connection is not None:
            self.connection.abort()

    def _end_wait(self, late: LateAnswer | None) -> None:
        assert self.late is not None
        assert self.late_until is not None
        self.late_until.cancel()
        if not self.late.done():
            self.late.set_result(late)


class ConnectionOwner(Protocol):
    """Where a connection belongs."""

    def keep(self, connection: BidderConnection) -> None:
        """It may serve the next call."""
        ...

    def lost(self, connection: BidderConnection) -> None:
        """It is closed."""
        ...

    def retry(self, call: BidderCall) -> None:
        """The bidder had closed the kept connection before it saw the request."""
        ...

    def may_be_late(self, connection: BidderConnection) -> bool:
        """Whether its call may wait on after the deadline, until the connection is kept or lost."""
        ...


class BidderConnection(asyncio.Protocol):
    """HTTP/1.1 over one socket; tells its owner when it is free and when it is gone."""

    def __init__(self, owner: ConnectionOwner) -> None:
        self.idle_since = 0.0
        """Event-loop time at which it was last given back."""
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._parser = HttpResponseParser(self)
        self._call: BidderCall | None = None
        self._prepare()

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def may_be_late(self) -> bool:
        """Whether the call may wait on after its deadline."""
        return self._owner.may_be_late(self)

    def send(self, call: BidderCall) -> None:
        """Posts the call's request; the call is told what comes of it."""
        assert self._transport is not None
        assert self._call is None
        self._prepare()
        self._call = call
        call.connection = self
        self._transport.write(call.request)

    def abort(self) -> None:
        """Closes at once; the call in progress, if any, is told nothing more."""
        if self._call is not None:
            self._call.connection = None
            self._call = None
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Closes at once; the call in progress, if any, fails."""
        if self._call is not None:
            self._call.fail(BidderUnreachable("The client was closed."))
        self.abort()

    def _prepare(self) -> None:
        self._head_bytes = 0
        self._head_complete = False
        self._noted: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._status = 0
        self._complete = False
        self._reusable = False
        self._fault: str | None = None

    # -- what the transport says -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are of no common type

    def data_received(self, data: bytes) -> None:
        if self._call is None:  # bytes that nobody asked for
            self.abort()
            return
        if not self._head_complete:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._reusable = False
            self._fault = self._fault or f"not HTTP: {error}"
        if self._complete:
            self._finish()
        elif self._fault is not None:
            self._break(self._fault)
        elif not self._head_complete and self._head_bytes > BID_RESPONSE_HEAD_MAX_BYTES:
            self._break(f"more than {BID_RESPONSE_HEAD_MAX_BYTES} bytes of header lines")

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.lost(self)
        call = self._call
        if call is None:
            return
        if self._head_complete and exc is None and self._ends_with_connection():
            self._finish()
        elif self._head_bytes == 0 and call.on_kept_connection and not call.answer.done():
            self._call = call.connection = None
            self._owner.retry(call)
        else:
            self._break("the connection was closed before the answer was complete")

    # -- what the parser says ----------------------------------------------------------------------

    def on_message_begin(self) -> None:
        # A second answer to one request: the first one counts, the connection does not.
        if self._complete:
            self._reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in NOTED_HEADERS and not self._complete:
            self._noted[name] = value

    def on_headers_complete(self) -> None:
        if self._complete:
            return
        self._head_complete = True
        self._status = self._parser.get_status_code()
        if int(self._noted.get(b"content-length", 0)) > BID_RESPONSE_MAX_BYTES:
            self._fault = f"a body of more than {BID_RESPONSE_MAX_BYTES} bytes"

    def on_body(self, body: bytes) -> None:
        if self._complete or self._fault is not None:
            return
        self._body_bytes += len(body)
        if self._body_bytes > BID_RESPONSE_MAX_BYTES:
            self._fault = f"a body of more than {BID_RESPONSE_MAX_BYTES} bytes"
            self._body.clear()
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self._complete:
            return
        if self._status < FIRST_FINAL_STATUS:  # 100 Continue, 103 Early Hints: the answer is still to come
            self._head_complete = False
            self._noted.clear()
        elif self._fault is None:
            self._complete = True
            self._reusable = self._parser.should_keep_alive()

    # -- how a call ends ---------------------------------------------------------------------------

    def _ends_with_connection(self) -> bool:
        """Neither length nor chunks say where the body ends."""
        return (
            self._status >= FIRST_FINAL_STATUS
            and self._status not in BODILESS_STATUSES
            and b"content-length" not in self._noted
            and b"chunked" not in self._noted.get(b"transfer-encoding", b"").lower()
        )

    def _finish(self) -> None:
        call = self._call
        assert call is not None
        try:
            body = self._decoded_body()
        except ValueError as error:
            self._break(str(error))
            return
        self._call = call.connection = None
        if self._reusable and self.usable:
            self._owner.keep(self)
        else:
            self.abort()
        call.complete(BidderAnswer(self._status, body))

    def _decoded_body(self) -> bytes:
        """The body, unpacked; raises ValueError with the reason why that cannot be done."""
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        encoding = self._noted.get(b"content-encoding")
        if encoding is None or not body:
            return body
        encoding = encoding.strip().lower()
        if encoding == b"identity":
            return body
        if encoding not in {b"gzip", b"x-gzip"}:
            raise ValueError(f"the content encoding {encoding.decode('latin-1')!r} was not asked for")
        try:
            return gunzip(body, BID_RESPONSE_MAX_BYTES)
        except (NotGzip, TooLarge) as error:
            raise ValueError(f"gzip: {error}") from None

    def _break(self, reason: str) -> None:
        call = self._call
        assert call is not None
        call.fail(BidderBroken(reason))
