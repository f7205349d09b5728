"""`POST /v1/ledger/days/{day}/close`: from then on the books of that day, and of all before it, never change."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec
from litestar import Request, Response, post
from litestar.params import FromPath

from api.position_token import token_header, token_of
from api.services import Services
from api.write.preconditions import idempotency_key
from domain.errors import Fault, InvalidInput


class ClosedDay(msgspec.Struct, frozen=True):
    """What a statement shows as closed once the read model has met the mark in every partition."""

    day: date
    partitions: int
    """That the mark was written to: all there are."""


class _Answer(ClosedDay, frozen=True):
    """What a retry is answered with."""

    token: str = ""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Answer).decode


@post("/ledger/days/{day:str}/close", tags=["Ledger"], summary="Close a day of the books", status_code=200)
async def close_ledger_day(
    request: Request[Any, Any, Any], services: Services, day: FromPath[str]
) -> Response[ClosedDay]:
    """A UTC day that is over. What belongs to it and comes later is booked on the first day that is open.

    All days before it are closed as well. To close a day again changes nothing; retry where it ended with 503.
    """
    closing = _day(day)

    async def run(command_id: str) -> bytes:
        marks = await services.close_ledger_day(closing, command_id=command_id)
        return _encode(_Answer(closing, len(marks), token_of(*marks)))

    sent = f"{request.method} {request.url.path}".encode()
    answer = _decode(await services.once(idempotency_key(request), sent, run))
    return Response(ClosedDay(answer.day, answer.partitions), headers=token_header(answer.token))


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidInput([Fault("day", f"{text!r} is not a day such as 2026-11-20")]) from None
