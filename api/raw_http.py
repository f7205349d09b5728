"""The little HTTP that raw ASGI routes need: a bounded body, plain answers, problems.

Hot routes stay below the framework, which would cost more than the auction itself.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from api.problems import PROBLEM_JSON, ProblemRaised, problem_of
from domain.errors import Fault, InvalidInput

if TYPE_CHECKING:
    from litestar.types import Receive, Send

Headers = Mapping[bytes, bytes]
"""Lower-case names; of a repeated one the last."""

GZIP_WINDOW = 31
"""zlib's number for a gzip member with the largest window."""
GZIP_MEMBERS_MAX = 8
"""What follows a member is copied to unpack it: many tiny members would cost the square of their number."""
GZIP_LEVEL = 1
WORTH_COMPRESSING_BYTES = 1_024
BODY_TIMEOUT_S = 10
DISCARDED_MAX_BYTES = 1024 * 1024
"""A body that is too large is read (and thrown away) up to here, because a client that is still sending when the
connection is closed would see a broken connection in place of the answer."""
CLOSING = {"Connection": "close"}


class ClientLeft(Exception):
    """The client hung up before its request was complete: nobody is there to be answered."""


def check_json_post(method: str, headers: Headers) -> None:
    """Raises ProblemRaised: 405 for another method than POST, 415 for a body that says it is not JSON."""
    if method != "POST":
        raise not_allowed(method, "POST")
    content_type = headers.get(b"content-type")
    if content_type is None:
        return
    media_type = content_type.partition(b";")[0].strip().lower()
    if media_type not in {b"application/json", b""}:
        raise ProblemRaised(
            "unsupported-media-type",
            f"Content-Type {media_type.decode('latin-1')!r} is not application/json",
            headers={"Accept-Post": "application/json"},
        )


async def read_body(headers: Headers, receive: Receive, limit_bytes: int) -> bytes:
    """The request's body, decompressed.

    Raises ProblemRaised: 413 for more than `limit_bytes`, packed or unpacked; 408 for one that comes too slowly;
    415 for an encoding other than gzip. Raises InvalidInput for broken gzip and ClientLeft when the client hung up.
    """
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding not in {b"identity", b"gzip", b"x-gzip", b""}:
        raise ProblemRaised(
            "unsupported-media-type",
            f"Content-Encoding {encoding.decode('latin-1')!r} is not gzip",
            headers={"Accept-Encoding": "gzip"},
        )
    announced = headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced) > max(limit_bytes, DISCARDED_MAX_BYTES):
        raise _too_large(limit_bytes)
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            body = await _receive_all(receive, limit_bytes)
    except TimeoutError:
        raise ProblemRaised("too-slow", f"the body took longer than {BODY_TIMEOUT_S} s", headers=CLOSING) from None
    return gunzip(body, limit_bytes) if encoding.endswith(b"gzip") else body


async def _receive_all(receive: Receive, limit_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    more = True
    while more and size <= DISCARDED_MAX_BYTES:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientLeft
        chunk = message["body"]
        size += len(chunk)
        if size <= limit_bytes:
            chunks.append(chunk)
        more = message["more_body"]
    if size > limit_bytes:
        raise _too_large(limit_bytes)
    return b"".join(chunks)


def gunzip(packed: bytes, limit_bytes: int) -> bytes:
    """Unpacks gzip (of a few members too), never more than the limit: a bomb is a ProblemRaised of 413."""
    unpacked = b""
    for _ in range(GZIP_MEMBERS_MAX):
        member = zlib.decompressobj(GZIP_WINDOW)
        try:
            unpacked += member.decompress(packed, limit_bytes + 1 - len(unpacked))
        except zlib.error as error:
            raise InvalidInput([Fault("", f"the body is not gzip: {error}")]) from error
        if len(unpacked) > limit_bytes:
            raise _too_large(limit_bytes)
        if not member.eof:
            raise InvalidInput([Fault("", "the gzip body is cut off")])
        packed = member.unused_data
        if not packed:
            return unpacked
    raise InvalidInput([Fault("", f"the gzip body has more than {GZIP_MEMBERS_MAX} members")])


def accepts_gzip(headers: Headers) -> bool:
    """Whether the client asks for gzip, and does not take it back with `q=0`."""
    accepted = headers.get(b"accept-encoding", b"").lower()
    if b"gzip" not in accepted:
        return False
    for offer in accepted.split(b","):
        coding, _, quality = offer.partition(b";")
        if coding.strip() == b"gzip":
            return quality.replace(b" ", b"").rstrip(b"0") not in {b"q=", b"q=0."}
    return False


def gzip(body: bytes) -> bytes:
    """Packed fast rather than small."""
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, GZIP_WINDOW)
    return packer.compress(body) + packer.flush()


async def respond(
    send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes = b"", *, is_head: bool = False
) -> None:
    """Sends a whole answer; `headers` have no Content-Length yet. To a HEAD it only tells the body's length."""
    if status != HTTPStatus.NO_CONTENT:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if is_head else body, "more_body": False})


async def respond_problem(send: Send, error: Exception) -> None:
    """Answers an error as problem+json."""
    answer = problem_of(error)
    headers = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in answer.headers.items()]
    await respond(send, answer.status, [(b"content-type", PROBLEM_JSON.encode()), *headers], answer.body)


def not_allowed(method: str, allowed: str) -> ProblemRaised:
    """405 with the methods that are allowed."""
    return ProblemRaised("method-not-allowed", f"{method} is not one of {allowed}", headers={"Allow": allowed})


def _too_large(limit_bytes: int) -> ProblemRaised:
    return ProblemRaised("body-too-large", f"the limit is {limit_bytes} bytes, decompressed")
