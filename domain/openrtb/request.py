"""A bid request of OpenRTB 2.6 (release 202606): the objects of section 3.2 around `BidRequest` and `Imp`.

The rest of them are in `context` (where the ad is shown) and `person` (who sees it).
Unknown fields are passed over here; `ParsedRequest.members` keeps them.
"""

from __future__ import annotations

from typing import Annotated

from domain.openrtb.context import App, Dooh, Site
from domain.openrtb.fields import (
    ZERO,
    Choices,
    Codes,
    Cpm,
    Currency,
    Identifier,
    Integer,
    Languages,
    Name,
    Names,
    Natural,
    Pixels,
    RtbObject,
)
from domain.openrtb.person import Device, User


class BidRequest(RtbObject, frozen=True, kw_only=True):
    """A publisher asks for bids. Section 3.2.1."""

    id: Identifier
    imp: tuple[Imp, ...]
    site: Site | None = None
    app: App | None = None
    dooh: Dooh | None = None
    device: Device | None = None
    user: User | None = None
    test: Integer = 0
    at: Integer = 2
    tmax: Natural | None = None
    """Milliseconds, network included."""
    wseat: Names | None = None
    bseat: Names | None = None
    allimps: Integer = 0
    cur: tuple[Currency, ...] | None = None
    wlang: Languages | None = None
    wlangb: Languages | None = None
    acat: Names | None = None
    bcat: Names | None = None
    cattax: Integer = 1
    badv: Names | None = None
    bapp: Names | None = None
    source: Source | None = None
    regs: Regs | None = None


class Source(RtbObject, frozen=True, kw_only=True):
    """Where the request comes from, and who decides. Section 3.2.2."""

    fd: Integer | None = None
    tid: str | None = None
    pchain: str | None = None
    schain: SupplyChain | None = None


class Regs(RtbObject, frozen=True, kw_only=True):
    """Legal and regulatory conditions. Section 3.2.3."""

    coppa: Integer | None = None
    gdpr: Integer | None = None
    us_privacy: str | None = None
    gpp: str | None = None
    gpp_sid: Codes | None = None


class Imp(RtbObject, frozen=True, kw_only=True):
    """One impression opportunity; every imp offers at least one of banner, video, audio and native. Section 3.2.4."""

    id: Identifier
    metric: tuple[Metric, ...] | None = None
    banner: Banner | None = None
    video: Video | None = None
    audio: Audio | None = None
    native: Native | None = None
    pmp: Pmp | None = None
    displaymanager: str | None = None
    displaymanagerver: str | None = None
    instl: Integer = 0
    tagid: Name | None = None
    bidfloor: Cpm = ZERO
    """CPM in `bidfloorcur`."""
    bidfloorcur: Currency = "USD"
    clickbrowser: Integer | None = None
    secure: Integer | None = None
    iframebuster: tuple[str, ...] | None = None
    rwdd: Integer = 0
    ssai: Integer = 0
    exp: Natural | None = None
    qty: Qty | None = None
    dt: float | None = None
    refresh: Refresh | None = None


class Metric(RtbObject, frozen=True, kw_only=True):
    """A measured property of the imp, such as viewability. Section 3.2.5."""

    type: str
    value: float
    vendor: str | None = None


class Banner(RtbObject, frozen=True, kw_only=True):
    """A display ad, or the companion of a video or audio ad. Section 3.2.6."""

    format: Annotated[tuple[Format, ...], Choices] | None = None
    w: Pixels | None = None
    h: Pixels | None = None
    btype: Codes | None = None
    battr: Codes | None = None
    pos: Integer | None = None
    mimes: tuple[str, ...] | None = None
    topframe: Integer | None = None
    expdir: Codes | None = None
    api: Codes | None = None
    id: str | None = None
    vcm: Integer | None = None


class Video(RtbObject, frozen=True, kw_only=True):
    """An in-stream or out-stream video ad. Section 3.2.7."""

    mimes: tuple[str, ...]
    minduration: Natural = 0
    maxduration: Natural | None = None
    startdelay: Integer | None = None
    maxseq: Natural | None = None
    poddur: Natural | None = None
    protocols: Codes | None = None
    w: Pixels | None = None
    h: Pixels | None = None
    podid: str | None = None
    podseq: Integer = 0
    rqddurs: Codes | None = None
    placement: Integer | None = None
    plcmt: Integer | None = None
    linearity: Integer | None = None
    skip: Integer | None = None
    skipmin: Natural = 0
    skipafter: Natural = 0
    sequence: Integer = 0
    slotinpod: Integer = 0
    mincpmpersec: Cpm | None = None
    battr: Codes | None = None
    maxextended: Integer | None = None
    minbitrate: Natural | None = None
    maxbitrate: Natural | None = None
    boxingallowed: Integer = 1
    playbackmethod: Codes | None = None
    playbackend: Integer | None = None
    delivery: Codes | None = None
    pos: Integer | None = None
    companionad: tuple[Banner, ...] | None = None
    api: Codes | None = None
    companiontype: Codes | None = None
    poddedupe: Codes | None = None
    durfloors: Annotated[tuple[DurFloors, ...], Choices] | None = None


class Audio(RtbObject, frozen=True, kw_only=True):
    """An audio ad. Section 3.2.8."""

    mimes: tuple[str, ...]
    minduration: Natural = 0
    maxduration: Natural | None = None
    poddur: Natural | None = None
    protocols: Codes | None = None
    startdelay: Integer | None = None
    rqddurs: Codes | None = None
    podid: str | None = None
    podseq: Integer = 0
    sequence: Integer = 0
    slotinpod: Integer = 0
    mincpmpersec: Cpm | None = None
    battr: Codes | None = None
    maxextended: Integer | None = None
    minbitrate: Natural | None = None
    maxbitrate: Natural | None = None
    delivery: Codes | None = None
    companionad: tuple[Banner, ...] | None = None
    api: Codes | None = None
    companiontype: Codes | None = None
    maxseq: Natural | None = None
    feed: Integer | None = None
    stitched: Integer | None = None
    nvol: Integer | None = None
    durfloors: Annotated[tuple[DurFloors, ...], Choices] | None = None


class Native(RtbObject, frozen=True, kw_only=True):
    """A native ad; `request` is JSON in a string, after the Native Ad specification. Section 3.2.9."""

    request: str
    ver: str | None = None
    api: Codes | None = None
    battr: Codes | None = None


class Format(RtbObject, frozen=True, kw_only=True):
    """A permitted size of a banner. Section 3.2.10."""

    w: Pixels | None = None
    h: Pixels | None = None
    wratio: Natural | None = None
    hratio: Natural | None = None
    wmin: Natural | None = None


class Pmp(RtbObject, frozen=True, kw_only=True):
    """The private marketplace: deals between seller and buyers. Section 3.2.11."""

    private_auction: Integer = 0
    deals: Annotated[tuple[Deal, ...], Choices] | None = None


class Deal(RtbObject, frozen=True, kw_only=True):
    """A deal; its floor currency does not inherit from the imp. Section 3.2.12."""

    id: Identifier
    bidfloor: Cpm = ZERO
    """CPM in `bidfloorcur`."""
    bidfloorcur: Currency = "USD"
    at: Integer | None = None
    wseat: Names | None = None
    wadomain: Names | None = None
    guar: Integer = 0
    mincpmpersec: Cpm | None = None
    durfloors: Annotated[tuple[DurFloors, ...], Choices] | None = None


class SupplyChain(RtbObject, frozen=True, kw_only=True):
    """Everyone who sells the inventory on. Section 3.2.25."""

    complete: Integer
    nodes: tuple[SupplyChainNode, ...]
    ver: str


class SupplyChainNode(RtbObject, frozen=True, kw_only=True):
    """One seller of the chain. Section 3.2.26."""

    asi: str
    sid: str
    rid: str | None = None
    name: str | None = None
    domain: str | None = None
    hp: Integer | None = None


class Qty(RtbObject, frozen=True, kw_only=True):
    """How many people see one showing. Section 3.2.31."""

    multiplier: float
    sourcetype: Integer | None = None
    vendor: str | None = None


class Refresh(RtbObject, frozen=True, kw_only=True):
    """When the ad slot is filled anew. Section 3.2.33."""

    refsettings: tuple[RefSettings, ...] | None = None
    count: Natural | None = None


class RefSettings(RtbObject, frozen=True, kw_only=True):
    """One trigger of a refresh. Section 3.2.34."""

    reftype: Integer = 0
    minint: Natural | None = None


class DurFloors(RtbObject, frozen=True, kw_only=True):
    """A floor for creatives of a range of durations. Section 3.2.35."""

    mindur: Natural | None = None
    maxdur: Natural | None = None
    bidfloor: Cpm = ZERO
