"""A bid request of OpenRTB 2.6 (release 202606): the objects of section 3.2 around `BidRequest` and `Imp`.

The rest of them are in `context` (where the ad is shown) and `person` (who sees it).
Unknown fields are passed over here; `ParsedRequest.members` keeps them.
"""

from __future__ import annotations

from domain.openrtb.context import App, Dooh, Site
from domain.openrtb.fields import ZERO, Cpm, Currency, Identifier, Integer, Name, Natural, Pixels, RtbObject
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
    wseat: tuple[str, ...] | None = None
    bseat: tuple[str, ...] | None = None
    allimps: Integer = 0
    cur: tuple[Currency, ...] | None = None
    wlang: tuple[str, ...] | None = None
    wlangb: tuple[str, ...] | None = None
    acat: tuple[str, ...] | None = None
    bcat: tuple[str, ...] | None = None
    cattax: Integer = 1
    badv: tuple[str, ...] | None = None
    bapp: tuple[str, ...] | None = None
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
    gpp_sid: tuple[Integer, ...] | None = None


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

    format: tuple[Format, ...] | None = None
    w: Pixels | None = None
    h: Pixels | None = None
    btype: tuple[Integer, ...] | None = None
    battr: tuple[Integer, ...] | None = None
    pos: Integer | None = None
    mimes: tuple[str, ...] | None = None
    topframe: Integer | None = None
    expdir: tuple[Integer, ...] | None = None
    api: tuple[Integer, ...] | None = None
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
    protocols: tuple[Integer, ...] | None = None
    w: Pixels | None = None
    h: Pixels | None = None
    podid: str | None = None
    podseq: Integer = 0
    rqddurs: tuple[Integer, ...] | None = None
    placement: Integer | None = None
    plcmt: Integer | None = None
    linearity: Integer | None = None
    skip: Integer | None = None
    skipmin: Natural = 0
    skipafter: Natural = 0
    sequence: Integer = 0
    slotinpod: Integer = 0
    mincpmpersec: Cpm | None = None
    battr: tuple[Integer, ...] | None = None
    maxextended: Integer | None = None
    minbitrate: Natural | None = None
    maxbitrate: Natural | None = None
    boxingallowed: Integer = 1
    playbackmethod: tuple[Integer, ...] | None = None
    playbackend: Integer | None = None
    delivery: tuple[Integer, ...] | None = None
    pos: Integer | None = None
    companionad: tuple[Banner, ...] | None = None
    api: tuple[Integer, ...] | None = None
    companiontype: tuple[Integer, ...] | None = None
    poddedupe: tuple[Integer, ...] | None = None
    durfloors: tuple[DurFloors, ...] | None = None


class Audio(RtbObject, frozen=True, kw_only=True):
    """An audio ad. Section 3.2.8."""

    mimes: tuple[str, ...]
    minduration: Natural = 0
    maxduration: Natural | None = None
    poddur: Natural | None = None
    protocols: tuple[Integer, ...] | None = None
    startdelay: Integer | None = None
    rqddurs: tuple[Integer, ...] | None = None
    podid: str | None = None
    podseq: Integer = 0
    sequence: Integer = 0
    slotinpod: Integer = 0
    mincpmpersec: Cpm | None = None
    battr: tuple[Integer, ...] | None = None
    maxextended: Integer | None = None
    minbitrate: Natural | None = None
    maxbitrate: Natural | None = None
    delivery: tuple[Integer, ...] | None = None
    companionad: tuple[Banner, ...] | None = None
    api: tuple[Integer, ...] | None = None
    companiontype: tuple[Integer, ...] | None = None
    maxseq: Natural | None = None
    feed: Integer | None = None
    stitched: Integer | None = None
    nvol: Integer | None = None
    durfloors: tuple[DurFloors, ...] | None = None


class Native(RtbObject, frozen=True, kw_only=True):
    """A native ad; `request` is JSON in a string, after the Native Ad specification. Section 3.2.9."""

    request: str
    ver: str | None = None
    api: tuple[Integer, ...] | None = None
    battr: tuple[Integer, ...] | None = None


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
    deals: tuple[Deal, ...] | None = None


class Deal(RtbObject, frozen=True, kw_only=True):
    """A deal; its floor currency does not inherit from the imp. Section 3.2.12."""

    id: Identifier
    bidfloor: Cpm = ZERO
    """CPM in `bidfloorcur`."""
    bidfloorcur: Currency = "USD"
    at: Integer | None = None
    wseat: tuple[str, ...] | None = None
    wadomain: tuple[str, ...] | None = None
    guar: Integer = 0
    mincpmpersec: Cpm | None = None
    durfloors: tuple[DurFloors, ...] | None = None


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
