"""`POST /v1/feeds/{client}/bulk` and `/changes`: uploads of any size, taken no faster than the log and Redis take them.

The body is received piece by piece, never gathered.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final, cast

import msgspec
from litestar import Request, Response, post
from litestar.params import FromPath

from api.access import tenant_of
from api.feed_backlog import FeedTopicName, UploadHeldUp
from api.feed_names import own_feed
from api.position_token import token_header, token_of
from api.problems import ProblemRaised
from api.raw_http import CLOSING, DISCARDED_MAX_BYTES
from api.services import ApiServices, Services
from api.write.preconditions import idempotency_key
from commands.feeds.change_feed import Changes
from commands.feeds.intake import BrokenOff, Interrupted, Received, Sender, TooDense, UploadCut, named_run
from commands.feeds.load_feed import Bulk
from domain.errors import Fault, GavelError, InvalidInput, Overloaded, Unavailable
from domain.event_parts import FeedMode
from domain.feeds.debezium import Columns
from domain.feeds.upload import Form
from domain.limits import (
    FEED_CHUNK_TIMEOUT_SECONDS,
    FEED_UPLOAD_FREE_SECONDS,
    FEED_UPLOAD_MIN_BYTES_PER_SECOND,
)

NDJSON: Final = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/json", "text/plain")
AVRO: Final = ("application/avro", "avro/binary", "application/vnd.apache.avro")
ENCODINGS: Final[Mapping[str, Any]] = {
    "": "identity",
    "identity": "identity",
    "gzip": "gzip",
    "x-gzip": "gzip",
    "zstd": "zstd",
}
MODES: Final = ("merge", "replace")
DISCARD_SECONDS: Final = 1.0


class ToldRejected(msgspec.Struct, frozen=True):
    """A line that was refused; the others were taken."""

    line: int
    reason: str


class ToldReceived(msgspec.Struct, frozen=True):
    """What was taken of an upload: all of that is in the log."""

    run_id: str
    received: int
    rejected: int
    errors: list[ToldRejected]
    """The first hundred."""


@post(
    "/feeds/{client:str}/bulk",
    name="load_feed",
    include_in_schema=False,
    status_code=HTTPStatus.ACCEPTED,
    request_max_body_size=None,
)
async def load_feed(
    request: Request[Any, Any, Any], services: Services, client: FromPath[str]
) -> Response[ToldReceived]:
    """Records that add to what the client has, or with `mode=replace` take its place as a whole."""
    upload = _Upload(services, request, client, "bulk")
    return await upload.answer(upload.load)


@post(
    "/feeds/{client:str}/changes",
    name="change_feed",
    include_in_schema=False,
    status_code=HTTPStatus.ACCEPTED,
    request_max_body_size=None,
)
async def change_feed(
    request: Request[Any, Any, Any], services: Services, client: FromPath[str]
) -> Response[ToldReceived]:
    """Changes of single records, and a connector's envelopes."""
    upload = _Upload(services, request, client, "changes")
    return await upload.answer(upload.change)


class _Upload:
    """One request."""

    def __init__(
        self, services: ApiServices, request: Request[Any, Any, Any], client: str, topic: FeedTopicName
    ) -> None:
        self._services = services
        self._request = request
        self._client = client
        self._topic = topic
        self._more = True
        self._stated = list(request.query_params.multi_items())
        self._query = dict(self._stated)

    async def answer(self, take: Callable[[], Awaitable[Received]]) -> Response[ToldReceived]:
        """Raises ProblemRaised and GavelError, once who is told of it listens."""
        try:
            async with self._services.upload_slots.taken(own_feed(self._client, tenant_of(self._request))):
                received = await take()
        except Interrupted as error:
            await self._discard()
            raise _interrupted(error) from error
        except BrokenOff as error:
            await self._discard()
            raise _broken(error) from error
        except (GavelError, ProblemRaised):
            await self._discard()
            raise
        told = ToldReceived(
            received.run_id,
            received.received,
            received.rejected,
            [ToldRejected(each.line, str(each.reason)) for each in received.errors],
        )
        token = {} if received.logged_at is None else token_header(token_of(received.logged_at))
        return Response(told, status_code=HTTPStatus.ACCEPTED, headers={"Cache-Control": "no-store", **token})

    async def load(self) -> Received:
        mode = self._query.pop("mode", "merge")
        if mode not in MODES:
            raise InvalidInput([Fault("mode", f"is not one of {', '.join(MODES)}")])
        self._refuse_parameters()
        name = idempotency_key(self._request)
        form, sender = self._form(), await self._sender()
        run_id = self._services.fresh_id() if name is None else named_run(sender.id, name)
        chunks, may_be_resumed = self._chunks(sender), name is not None
        received = await self._services.load_feed(
            Bulk(sender, chunks, form, cast("FeedMode", mode), run_id, may_be_resumed)
        )
        self._services.sweep_runs.expect(sender.id, run_id)
        return received

    async def change(self) -> Received:
        columns = Columns(self._query.pop("key_column", "key"), self._query.pop("value_column", None))
        self._refuse_parameters()
        name = idempotency_key(self._request)
        form, sender = self._form(), await self._sender()
        command_id = self._services.fresh_id() if name is None else named_run(sender.id, name)
        chunks, may_be_repeated = self._chunks(sender), name is not None
        room = self._services.feed_backlog.wait_for_room
        return await self._services.change_feed(
            Changes(sender, chunks, form, columns, command_id, may_be_repeated, room)
        )

    async def _sender(self) -> Sender:
        """Raises NotFound, Conflict, ProblemRaised where it sends faster than its records are applied."""
        client = own_feed(self._client, tenant_of(self._request))
        sender = await self._services.feed_senders.sender(self._client)
        await self._services.feed_backlog.check(self._topic, client)
        return sender

    async def _chunks(self, sender: Sender) -> AsyncIterator[bytes]:
        """The body as it comes; nothing of it is asked for while what came before has not found its place."""
        clock = asyncio.get_running_loop().time
        left_s: float = FEED_UPLOAD_FREE_SECONDS
        while self._more:
            await self._services.feed_backlog.wait(self._topic, sender.id)
            began = clock()
            try:
                async with asyncio.timeout(min(FEED_CHUNK_TIMEOUT_SECONDS, left_s)):
                    chunk = await self._next_chunk()
            except TimeoutError:
                raise UploadHeldUp(ProblemRaised("too-slow", _too_slow(left_s), headers=CLOSING)) from None
            left_s += len(chunk) / FEED_UPLOAD_MIN_BYTES_PER_SECOND - (clock() - began)
            yield chunk

    async def _next_chunk(self) -> bytes:
        message = await self._request.receive()
        if message["type"] != "http.request":
            raise UploadCut
        self._more = message["more_body"]
        return message["body"]

    async def _discard(self) -> None:
        """Who is still sending when the connection ends would see a broken one in place of the answer."""
        discarded = 0
        with suppress(TimeoutError, UploadCut):
            async with asyncio.timeout(DISCARD_SECONDS):
                while self._more and discarded < DISCARDED_MAX_BYTES:
                    discarded += len(await self._next_chunk())

    def _form(self) -> Form:
        """Raises ProblemRaised: 415."""
        encoding = self._request.headers.get("content-encoding", "").strip().lower()
        if encoding not in ENCODINGS:
            why = f"Content-Encoding {encoding!r} is neither gzip nor zstd"
            raise ProblemRaised("unsupported-media-type", why, headers={"Accept-Encoding": "gzip, zstd"})
        sent = self._request.headers.get("content-type", "")
        media_type = sent.partition(";")[0].strip().lower() or NDJSON[0]
        if media_type not in NDJSON + AVRO:
            why = f"Content-Type {media_type!r} is neither {NDJSON[0]} nor {AVRO[0]}"
            raise ProblemRaised("unsupported-media-type", why, headers={"Accept-Post": f"{NDJSON[0]}, {AVRO[0]}"})
        return Form(ENCODINGS[encoding], "avro" if media_type in AVRO else "ndjson")

    def _refuse_parameters(self) -> None:
        """One that is misspelt, or stated twice, must not change what is done with millions of records."""
        times = Counter(name for name, _ in self._stated)
        faults = [Fault(name, "is no parameter of this") for name in sorted(self._query)]
        faults += [Fault(name, "is stated more than once") for name, count in sorted(times.items()) if count > 1]
        if faults:
            raise InvalidInput(faults)


def _broken(error: BrokenOff) -> ProblemRaised:
    """What is wrong with the upload, and what became of that which came before."""
    is_bomb = isinstance(error, TooDense)
    return ProblemRaised(
        "body-too-large" if is_bomb else "invalid-input",
        error.faults[0].message,
        faults=error.faults,
        members=_members(error.received),
    )


def _interrupted(error: Interrupted) -> ProblemRaised:
    """Why the rest of the upload was not taken, and how much of it there is."""
    cause, members = error.__cause__, _members(error.received)
    if isinstance(cause, UploadHeldUp):
        kind, why, headers = cause.problem.kind, cause.problem.detail, cause.problem.headers
    elif isinstance(cause, Unavailable):
        kind, why, headers = "overloaded" if isinstance(cause, Overloaded) else "unavailable", str(cause), {}
    else:
        kind, why, headers = "bad-request", "the upload was cut off", CLOSING
    detail = f"{why.removesuffix('.')}: the upload was ended, and what it had received until there is in the log"
    return ProblemRaised(kind, detail, headers=headers, members=members)


def _members(received: Received) -> Mapping[str, str | int]:
    return {"run_id": received.run_id, "received": received.received, "rejected": received.rejected}


def _too_slow(left_s: float) -> str:
    if left_s < FEED_CHUNK_TIMEOUT_SECONDS:
        return f"it came at less than {FEED_UPLOAD_MIN_BYTES_PER_SECOND} bytes a second for too long"
    return f"nothing came for {FEED_CHUNK_TIMEOUT_SECONDS} s"
