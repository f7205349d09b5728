"""Every error as `application/problem+json` (RFC 9457), by one table.

`type` is stable and leads to a sentence about it at `GET /problems/{name}`; `errors` names the path of each fault.
A body never carries a traceback: what Gavel cannot name is logged with its traceback and answered as
`internal-error`.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from litestar import MediaType, Response, get
from litestar.exceptions import HTTPException, NotFoundException, ValidationException
from litestar.params import FromPath

from domain import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar import Request

RETRY_AFTER_SECONDS = 1
PROBLEM_JSON = "application/problem+json"

_log = structlog.get_logger(__name__)


class Kind(msgspec.Struct, frozen=True):
    """One kind of problem, as `GET /problems/{name}` tells it."""

    name: str
    status: int
    title: str
    meaning: str


KINDS = {
    kind.name: kind
    for kind in (
        Kind("invalid-input", 400, "The input breaks a rule", "`errors` names the path of each fault."),
        Kind("invalid-token", 400, "The token was not issued here", "It was forged, cut or altered on its way."),
        Kind("bad-request", 400, "The request cannot be read", "It is not the HTTP that the route expects."),
        Kind("unauthorized", 401, "An access key is needed", "Send `Authorization: Bearer KEY` with a valid key."),
        Kind("forbidden", 403, "The access key does not reach this", "Its role has no right to the thing named."),
        Kind("not-found", 404, "There is no such thing", "Neither the route nor the thing it names exists."),
        Kind("method-not-allowed", 405, "The method is not allowed here", "`Allow` lists the methods that are."),
        Kind("not-acceptable", 406, "No acceptable form of the answer", "`detail` lists the media types on offer."),
        Kind("too-slow", 408, "The request took too long to arrive", "Send it again over a faster connection."),
        Kind("conflict", 409, "It is not as you take it to be", "`detail` says how; read it again, then decide."),
        Kind("illegal-move", 409, "It is not allowed as things stand", "`errors` or `detail` says what is in its way."),
        Kind("limit-reached", 409, "There may be no more of it", "`detail` says how many there may be."),
        Kind("precondition-failed", 412, "The precondition does not hold", "`If-Match` names an older version."),
        Kind("still-running", 409, "The same command is being worked on", "Send it again with its key a moment later."),
        Kind("body-too-large", 413, "The body is too large", "`detail` says the limit, which holds decompressed too."),
        Kind("unsupported-media-type", 415, "The body's type or encoding is not supported", "Send JSON."),
        Kind("unknown-reference", 422, "It names something that is not there", "`errors` names the path of each."),
        Kind("key-reused", 422, "The key was used for another command", "Take a fresh `Idempotency-Key`."),
        Kind("too-many-requests", 429, "Too many requests", "Wait as long as `Retry-After` says."),
        Kind("internal-error", 500, "Gavel made a mistake", "It is in the log of the process that answered."),
        Kind("unreadable", 500, "A record does not open", "`detail` names its key; send the record again."),
        Kind("unavailable", 503, "A server that is needed is away", "`detail` says which; try again as told."),
        Kind(
            "overloaded",
            503,
            "Too much work is in flight",
            "Nothing was changed, or what `received` says; try again as told.",
        ),
        Kind(
            "being-built", 503, "The read model is being built", "It is, for this version of Gavel; try again as told."
        ),
        Kind(
            "incomplete", 503, "Records are being read again", "Redis has lost some; `stale=true` takes what is there."
        ),
        Kind("not-yet", 503, "The read model has not come that far", "It did not reach `Gavel-Token` in time."),
    )
}

_OF_ERROR: dict[type[Exception], str] = {
    errors.InvalidInput: "invalid-input",
    errors.UnknownReference: "unknown-reference",
    errors.IllegalMove: "illegal-move",
    errors.NotPossible: "illegal-move",
    errors.LimitReached: "limit-reached",
    errors.VersionMismatch: "precondition-failed",
    errors.StillRunning: "still-running",
    errors.RateLimited: "too-many-requests",
    errors.KeyReused: "key-reused",
    errors.InvalidToken: "invalid-token",
    errors.NotFound: "not-found",
    errors.Conflict: "conflict",
    errors.Refusal: "bad-request",
    errors.Overloaded: "overloaded",
    errors.Unavailable: "unavailable",
}
_SHARED_STATUSES = {400: "bad-request", 409: "conflict", 422: "bad-request", 500: "internal-error", 503: "unavailable"}
"""Statuses of several kinds, and which of them an error of the framework is."""
_OF_STATUS = {kind.status: kind.name for kind in KINDS.values()} | _SHARED_STATUSES


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of an error."""

    type: str
    title: str
    status: int
    detail: str = ""
    errors: tuple[errors.Fault, ...] = ()


class ProblemRaised(Exception):
    """A route found a problem of a kind that the rules do not know: of HTTP itself."""

    def __init__(
        self,
        kind: str,
        detail: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        faults: tuple[errors.Fault, ...] = (),
        members: Mapping[str, str | int] | None = None,
    ) -> None:
        """`members` are told beside those that every problem has (RFC 9457, section 3.2)."""
        super().__init__(detail or KINDS[kind].title)
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})
        self.faults = faults
        self.members = dict(members or {})


class Answer(msgspec.Struct, frozen=True):
    """A problem ready to be sent."""

    status: int
    headers: dict[str, str]
    body: bytes


_encode = msgspec.json.Encoder().encode


def problem_of(error: Exception) -> Answer:
    """What to answer to an error. One that nobody expected is logged here, loudly, with its traceback."""
    if isinstance(error, ProblemRaised):
        return _answer(error.kind, error.detail, faults=error.faults, headers=error.headers, members=error.members)
    if isinstance(error, HTTPException):
        return _of_litestar(error)
    for error_type in type(error).__mro__:
        if kind := _OF_ERROR.get(error_type):
            faults = error.faults if isinstance(error, errors.InvalidInput) else ()
            limited = {"Retry-After": str(error.retry_after_seconds)} if isinstance(error, errors.RateLimited) else {}
            return _answer(kind, "" if faults else str(error), faults=faults, headers=limited)
    _log.error("a request met a programmer's error", exc_info=error)
    return _answer("internal-error")


def render_problem(_request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's exception handler for everything."""
    answer = problem_of(error)
    return Response(answer.body, status_code=answer.status, headers=answer.headers, media_type=PROBLEM_JSON)


def _of_litestar(error: HTTPException) -> Answer:
    if isinstance(error, ValidationException):
        return _answer("invalid-input", faults=tuple(_faults(error)))
    if error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("a request met an error of the framework", exc_info=error)
        return _answer("internal-error")
    kind = _OF_STATUS.get(error.status_code, "bad-request")
    phrase = HTTPStatus(error.status_code).phrase
    return _answer(kind, "" if error.detail == phrase else error.detail, headers=dict(error.headers or {}))


def _faults(error: ValidationException) -> list[errors.Fault]:
    given = error.extra if isinstance(error.extra, list) else []
    found = [
        errors.Fault(str(each.get("key", "")), str(each.get("message", ""))) for each in given if isinstance(each, dict)
    ]
    return found or [errors.Fault("", error.detail)]


def _answer(
    name: str,
    detail: str = "",
    *,
    faults: tuple[errors.Fault, ...] = (),
    headers: Mapping[str, str] | None = None,
    members: Mapping[str, str | int] | None = None,
) -> Answer:
    kind = KINDS[name]
    problem = Problem(type=f"/problems/{name}", title=kind.title, status=kind.status, detail=detail, errors=faults)
    all_headers = {"Cache-Control": "no-store", **(headers or {})}
    if kind.status == HTTPStatus.SERVICE_UNAVAILABLE:
        all_headers.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
    if kind.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        # What is left of the body is not read: the next request on that connection would meet its end.
        all_headers["Connection"] = "close"
    body = {**msgspec.to_builtins(problem), **members} if members else problem
    return Answer(kind.status, all_headers, _encode(body))


@get("/problems/{name:str}", tags=["Operations"], media_type=MediaType.JSON, summary="What a problem type means")
async def explain_problem(name: FromPath[str]) -> Kind:
    """One sentence about a problem type, at the very address that its `type` names."""
    try:
        return KINDS[name]
    except KeyError:
        raise NotFoundException(f"no problem type {name!r}") from None
