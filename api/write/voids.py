"""`POST /v1/auctions/{id}/void`: takes back the one engagement of an imp that counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

import msgspec
from litestar import Request, Response, post
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import FromPath

from api.json_body import JSON, json_body
from api.position_token import token_header, token_of
from api.services import Services
from api.write.preconditions import idempotency_key
from commands.void_engagement import Voided
from domain.event_parts import EngagementKind
from domain.ledger import Posting, can_cost, charge_of, postings
from domain.money import amount_text
from domain.voiding import VoidOrder, void_order


class Booking(msgspec.Struct, frozen=True, kw_only=True):
    """One side of an entry, exact decimal text."""

    account: str
    debit: str
    credit: str


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """An engagement that counts no longer, and the entry that gives back what it cost."""

    id: str
    auction_id: str
    imp_id: str
    kind: EngagementKind
    engagement_id: str
    reason: str
    """Of the first time, where it was voided before."""
    at: datetime
    currency: str
    entry: tuple[Booking, ...]
    """To the buyer, from publisher and exchange; empty where it had cost nothing."""


class _Answer(msgspec.Struct, frozen=True):
    """What a retry is answered with."""

    refund: Refund
    token: str | None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Answer).decode


@dataclass
class VoidOperation(Operation):
    """Says what the body is: the command finds all its faults itself, so the framework does not know."""

    def __post_init__(self) -> None:
        text = Schema(type=OpenAPIType.STRING, min_length=1)
        schema = Schema(
            type=OpenAPIType.OBJECT,
            required=[*VoidOrder.__struct_fields__],
            properties={"imp_id": text, "kind": Schema(enum=get_args(EngagementKind)), "reason": text},
        )
        example = VoidOrder(imp_id="1", kind="impression", reason="The page was not the publisher's.")
        content = OpenAPIMediaType(schema=schema, example=msgspec.to_builtins(example))
        self.request_body = RequestBody(content={JSON: content}, required=True)


@post(
    "/auctions/{auction_id:str}/void",
    tags=["Ledger"],
    summary="Void an engagement, and give back what it cost",
    status_code=200,
    operation_class=VoidOperation,
)
async def void_engagement(
    request: Request[Any, Any, Any], services: Services, auction_id: FromPath[str]
) -> Response[Refund]:
    """The log is asked which impression or click of the imp counts; reports and books then take it back.

    Never twice: asked again, the answer is the refund of the first time. 404 for what the log does not have, 409 where
    none of it counts.
    """
    body = await json_body(request)
    order = void_order(body)

    async def run(_command_id: str) -> bytes:
        return _encode(_answer(await services.void_engagement(auction_id, order)))

    sent = f"{request.method} {request.url.path} ".encode() + body
    answer = _decode(await services.once(idempotency_key(request), sent, run))
    return Response(answer.refund, headers=token_header(answer.token or ""))


def _answer(voided: Voided) -> _Answer:
    event, position = voided
    engagement = event.engagement
    assert engagement is not None, "the command names the engagement itself"
    charge = charge_of(engagement) if can_cost(engagement) else None
    refund = Refund(
        id=event.id,
        auction_id=event.auction_id,
        imp_id=event.imp_id,
        kind=event.kind,
        engagement_id=event.engagement_id,
        reason=event.reason,
        at=event.at,
        currency=engagement.currency,
        entry=() if charge is None else tuple(map(_booking, postings(charge, "refund"))),
    )
    return _Answer(refund, token_of(position) if position else None)


def _booking(posting: Posting) -> Booking:
    debit, credit = amount_text(posting.debit_nanos), amount_text(posting.credit_nanos)
    return Booking(account=posting.account, debit=debit, credit=credit)
