"""`POST /openrtb2/event`: impressions and clicks that a server reports, where no browser fetches the addresses.

A player with server-side ad insertion, or an app's own server, sends the tokens of the addresses that it was given.
Anybody may, as anybody may fetch the addresses; who sends an access key of the publisher's speaks for its viewers.
"""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated

import msgspec
from litestar import asgi
from litestar.types import HTTPScope, Receive, Send

from api.position_token import raw_token_header
from api.problems import ProblemRaised
from api.raw_http import ClientLeft, check_json_post, read_body, respond, respond_problem
from commands.ports import Position
from commands.record_engagement import Reporter
from domain.errors import Fault, GavelError, InvalidInput, InvalidToken, Unavailable
from domain.limits import EVENTS_PER_REQUEST_MAX, REQUEST_BODY_MAX_BYTES, TOKEN_MAX_CHARS, USER_AGENT_READ_MAX_CHARS
from domain.networks import is_nobodys
from domain.openrtb.faults import decoder_fault

if TYPE_CHECKING:
    from litestar.handlers import ASGIRouteHandler

    from api.access import KeyHolders
    from api.services import ApiServices


class StatedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One impression or click. What is not stated of the viewer is the caller's own."""

    token: Annotated[str, msgspec.Meta(max_length=TOKEN_MAX_CHARS)]
    """The `t` of an impression or click address; which of the two, it says itself."""
    ip: str | None = None
    ua: Annotated[str, msgspec.Meta(max_length=USER_AGENT_READ_MAX_CHARS)] | None = None


class ToldEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of it, in the order of the events."""

    verdict: str
    """As in the log, or `forged`."""
    kind: str | None = None
    landing_url: str | None = None
    """Of a click: where to send the viewer."""


_decoder: msgspec.json.Decoder[StatedEvent | list[StatedEvent]] = msgspec.json.Decoder(StatedEvent | list[StatedEvent])
_encode = msgspec.json.Encoder().encode


def events(services: ApiServices, holders: KeyHolders) -> ASGIRouteHandler:
    """The route, below the framework."""

    @asgi("/openrtb2/event", copy_scope=False, name="record_event")
    async def record_event(scope: HTTPScope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        try:
            check_json_post(scope["method"], headers)
            stated = stated_events(await read_body(headers, receive, REQUEST_BODY_MAX_BYTES))
            sent_key = headers.get(b"authorization")
            holder = None if sent_key is None else holders.of(sent_key.decode("latin-1"))
            reporter = Reporter(services.client_addresses.of(scope), holder)
            user_agent = headers.get(b"user-agent", b"").decode("latin-1")
            recording = _Recording(services, reporter, user_agent)
            body = await recording.of(stated)
        except ClientLeft:
            return
        except (GavelError, ProblemRaised) as error:
            await respond_problem(send, error)
            return
        answered = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
        await respond(send, 200, [*answered, *raw_token_header(*recording.positions)], body)

    return record_event


def stated_events(body: bytes) -> StatedEvent | list[StatedEvent]:
    """One event, or a list of 1 to EVENTS_PER_REQUEST_MAX. Raises InvalidInput with the path of what is wrong."""
    try:
        stated = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput([decoder_fault(error)]) from error
    if isinstance(stated, StatedEvent):
        faults = _address_faults(stated, "")
    elif 1 <= len(stated) <= EVENTS_PER_REQUEST_MAX:
        faults = [fault for index, each in enumerate(stated) for fault in _address_faults(each, f"[{index}].")]
    else:
        faults = [Fault("", f"lists {len(stated)} events, not 1 to {EVENTS_PER_REQUEST_MAX}")]
    if faults:
        raise InvalidInput(faults)
    return stated


def _address_faults(stated: StatedEvent, path: str) -> list[Fault]:
    if stated.ip is None:
        return []
    try:
        ip_address(stated.ip)
    except ValueError:
        return [Fault(f"{path}ip", "is not an IP address")]
    return [Fault(f"{path}ip", "is no viewer's address: it is not of the internet")] if is_nobodys(stated.ip) else []


class _Recording(msgspec.Struct, frozen=True):
    """What one request reports, on its way into the log."""

    services: ApiServices
    reporter: Reporter
    user_agent: str
    """The reporter's own."""
    positions: list[Position] = msgspec.field(default_factory=list)
    """Of what is logged by now."""

    async def of(self, stated: StatedEvent | list[StatedEvent]) -> bytes:
        """The answer, once all are logged. Raises InvalidToken for a single forged one, and Unavailable.

        Whoever sends a list again after Unavailable doubles nothing: what was logged before is a duplicate then.
        """
        if isinstance(stated, StatedEvent):
            return _encode(await self._of_one(stated))
        told = await asyncio.gather(*(self._of_one(each) for each in stated), return_exceptions=True)
        for each in told:
            if isinstance(each, BaseException) and not isinstance(each, InvalidToken):
                raise each
        return _encode([ToldEvent(verdict="forged") if isinstance(each, InvalidToken) else each for each in told])

    async def _of_one(self, stated: StatedEvent) -> ToldEvent:
        user_agent = self.user_agent if stated.ua is None else stated.ua
        metrics = self.services.metrics
        try:
            reported = await self.services.record_engagement.reported(
                stated.token, ip=stated.ip, user_agent=user_agent, by=self.reporter
            )
        except (InvalidToken, Unavailable) as error:
            # Of what kind it would have been, only a token that can be believed says.
            metrics.engagement("impression", "forged" if isinstance(error, InvalidToken) else "unavailable")
            raise
        metrics.engagement(reported.kind, reported.verdict)
        self.positions.append(reported.logged_at)
        return ToldEvent(kind=reported.kind, verdict=reported.verdict, landing_url=reported.landing_url)
