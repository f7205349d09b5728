"""The schemas that everything sent is held against can say no, and know what the domain's types know."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from domain.openrtb.context import (
    App,
    Channel,
    Content,
    Data,
    Dooh,
    Network,
    Producer,
    Publisher,
    Segment,
    Site,
)
from domain.openrtb.fields import RtbObject
from domain.openrtb.person import BrandVersion, Device, Eid, Geo, Uid, User, UserAgent
from domain.openrtb.request import (
    Audio,
    Banner,
    BidRequest,
    Deal,
    DurFloors,
    Format,
    Imp,
    Metric,
    Native,
    Pmp,
    Qty,
    Refresh,
    RefSettings,
    Regs,
    Source,
    SupplyChain,
    SupplyChainNode,
    Video,
)
from domain.openrtb.response import Bid, BidResponse, SeatBid
from tests.schemas.openrtb import Sent, schema, schema_faults

IMP = {"id": "1", "banner": {"w": 300, "h": 250}}
REQUEST = {"id": "r", "imp": [IMP], "tmax": 100}
GAVEL = {"auction_id": "0190b1f4-7e4c-7000-8000-000000000001", "impression_url": "http://gavel.example/impression?t=x"}
BID = {"id": "b", "impid": "1", "price": 1.5, "adm": "ad", "ext": {"gavel": GAVEL}}
RESPONSE = {"id": "r", "bidid": "a", "cur": "USD", "seatbid": [{"bid": [BID]}]}
NOTICE = {"kind": "loss", "url": "https://dsp.example/lurl?price=&code=102"}

TYPES: tuple[type[RtbObject], ...] = (
    App, Audio, Banner, BrandVersion, Channel, Content, Data, Deal, Device, Dooh, DurFloors, Eid, Format, Geo, Imp,
    Metric, Native, Network, Pmp, Producer, Publisher, Qty, Refresh, RefSettings, Regs, Segment, Site, Source,
    SupplyChain, SupplyChainNode, Uid, User, UserAgent, Video,
)  # fmt: skip
NAMES = {"Dooh": "DOOH", "Eid": "EID", "Uid": "UID"}
"""Objects that the specification writes in capitals."""


def seat(**changes: Any) -> dict[str, Any]:
    return {**RESPONSE, "seatbid": [{"bid": [{**BID, **changes}]}]}


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        ("bid_request", REQUEST),
        ("bid_request", {**REQUEST, "future": {"a": 1}, "at": 501, "imp": [{**IMP, "future": [1]}]}),
        ("bid_response", RESPONSE),
        ("bid_response", seat(future=[1], mtype=77)),
        ("bid_response", {"id": "r", "nbr": 0}),
        ("notice", NOTICE),
    ],
)
def test_what_the_specification_allows_passes(sent: Sent, value: dict[str, Any]) -> None:
    """Good messages pass, with unknown fields and codes."""
    assert schema_faults(sent, value) == []


@pytest.mark.parametrize(
    ("sent", "value", "path"),
    [
        ("bid_request", {"id": "r", "imp": [IMP]}, "$"),
        ("bid_request", {**REQUEST, "imp": []}, "$.imp"),
        ("bid_request", {**REQUEST, "imp": [{"id": "1"}]}, "$.imp[0]"),
        ("bid_request", {**REQUEST, "imp": [{**IMP, "bidfloor": "1.5"}]}, "$.imp[0].bidfloor"),
        ("bid_request", {**REQUEST, "cur": ["usd"]}, "$.cur[0]"),
        ("bid_request", {**REQUEST, "test": 2}, "$.test"),
        ("bid_request", {**REQUEST, "wseat": ["a"], "bseat": ["b"]}, "$"),
        ("bid_request", {**REQUEST, "site": {"keywords": "a", "kwarray": ["a"]}}, "$.site"),
        ("bid_request", {**REQUEST, "imp": [{**IMP, "qty": {"multiplier": 1, "sourcetype": 1}}]}, "$.imp[0].qty"),
        ("bid_response", {"nbr": 0}, "$"),
        ("bid_response", {"id": "r"}, "$"),
        ("bid_response", {**RESPONSE, "seatbid": []}, "$.seatbid"),
        ("bid_response", {**RESPONSE, "nbr": 2}, "$"),
        ("bid_response", seat(price="1.5"), "$.seatbid[0].bid[0].price"),
        ("bid_response", seat(burl="https://dsp.example/"), "$.seatbid[0].bid[0]"),
        ("bid_response", seat(nurl="https://dsp.example/"), "$.seatbid[0].bid[0]"),
        ("bid_response", seat(adm="a ${AUCTION_PRICE:B64} b"), "$.seatbid[0].bid[0].adm"),
        ("bid_response", seat(ext={"gavel": {**GAVEL, "key": "secret"}}), "$.seatbid[0].bid[0].ext.gavel"),
        ("notice", {**NOTICE, "url": "https://dsp.example/?p=${AUCTION_PRICE}"}, "$.url"),
        ("notice", {**NOTICE, "url": "dsp.example/lurl"}, "$.url"),
    ],
)
def test_what_the_specification_forbids_is_found(sent: Sent, value: dict[str, Any], path: str) -> None:
    """Each broken message is found at its place."""
    [fault] = schema_faults(sent, value)
    assert fault.startswith(f"{sent} {path}: ")


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
def test_schema_and_types_know_the_same_fields(kind: type[RtbObject]) -> None:
    """Written twice from the same table, by schema and by type, every object of a request has the same fields."""
    definition = schema("bid_request")["$defs"][NAMES.get(kind.__name__, kind.__name__)]
    assert set(definition["properties"]) == set(kind.__struct_fields__)
    required = {field.name for field in msgspec.structs.fields(kind) if field.required}
    assert set(definition.get("required", [])) == required


def test_schema_and_types_know_the_same_messages() -> None:
    """The same for the messages themselves and for what stands in a response."""
    response = schema("bid_response")
    assert set(schema("bid_request")["properties"]) == set(BidRequest.__struct_fields__)
    assert set(response["properties"]) == set(BidResponse.__struct_fields__)
    assert set(response["$defs"]["SeatBid"]["properties"]) == set(SeatBid.__struct_fields__)
    assert set(response["$defs"]["Bid"]["properties"]) == set(Bid.__struct_fields__)
