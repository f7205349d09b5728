"""A bidder, as `/v1/bidders` takes and shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import msgspec

from domain import catalogue
from domain.endpoint import endpoint_fault
from domain.errors import Fault
from domain.limits import BASIS_POINTS, BIDDER_QPS_MAX, BIDDER_TIME_MIN_MS, TMAX_MAX_MS
from domain.terms.fields import Country, Currency, DeviceType, EntityId, Many, Size, Text
from domain.terms.form import Form, Reference


class Bidder(msgspec.Struct, frozen=True, kw_only=True):
    """An external DSP behind HTTP. An absent list means: all of them."""

    name: Text
    endpoint: str
    seats: Annotated[tuple[Text, ...], Many] = ()
    media_types: Annotated[tuple[catalogue.MediaType, ...], Many] = ()
    countries: Annotated[tuple[Country, ...], Many] = ()
    qps_limit: Annotated[int, msgspec.Meta(ge=1, le=BIDDER_QPS_MAX)] | None = None
    timeout_ms: Annotated[int, msgspec.Meta(ge=BIDDER_TIME_MIN_MS, le=TMAX_MAX_MS)] | None = None
    currency: Currency = "USD"
    sizes: Annotated[tuple[Size, ...], Many] = ()
    device_types: Annotated[tuple[DeviceType, ...], Many] = ()
    placement_ids: Annotated[tuple[EntityId, ...], Many] = ()
    price_adjustment_bps: Annotated[int, msgspec.Meta(ge=1, le=BASIS_POINTS)] = BASIS_POINTS
    accepts_gzip: bool = False


def _to_terms(stated: Bidder) -> catalogue.Bidder:
    return catalogue.Bidder(**msgspec.structs.asdict(stated))


def _to_stated(terms: catalogue.Bidder) -> Bidder:
    return Bidder(**msgspec.structs.asdict(terms))


def _references(terms: catalogue.Bidder) -> Iterator[Reference]:
    for index, placement_id in enumerate(terms.placement_ids):
        yield Reference(f"placement_ids[{index}]", "placement", placement_id)


def bidder_form(*, allow_private: bool) -> Form[Bidder, catalogue.Bidder]:
    """The form of bidders; `allow_private` lets endpoints be on private addresses."""

    def rules(given: Mapping[str, Any]) -> Iterator[Fault]:
        if "endpoint" in given and (fault := endpoint_fault(given["endpoint"], allow_private=allow_private)):
            yield Fault("endpoint", fault)

    return Form(
        kind="bidder",
        stated=Bidder,
        terms=catalogue.Bidder,
        to_terms=_to_terms,
        to_stated=_to_stated,
        references=_references,
        rules=rules,
    )
