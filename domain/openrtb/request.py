"""The request side of OpenRTB 2.6 (release 202606): every object and field of section 3.2, defaults included.

Unknown fields are passed over here; `ParsedRequest.members` keeps them.
"""

from __future__ import annotations

import msgspec

from domain.openrtb.fields import (
    ZERO,
    Cpm,
    Currency,
    Ext,
    Identifier,
    Integer,
    Latitude,
    Longitude,
    Name,
    Natural,
    Pixels,
)


# Requests are trees without cycles: the garbage collector need not walk them.
class RtbObject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What every object has. Absent means unknown, unless the specification states a default."""

    ext: Ext = msgspec.UNSET


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


class Site(RtbObject, frozen=True, kw_only=True):
    """The website that shows the ad. Section 3.2.13."""

    id: str | None = None
    name: str | None = None
    domain: Name | None = None
    cattax: Integer = 1
    cat: tuple[str, ...] | None = None
    sectioncat: tuple[str, ...] | None = None
    pagecat: tuple[str, ...] | None = None
    page: str | None = None
    ref: str | None = None
    search: str | None = None
    mobile: Integer | None = None
    privacypolicy: Integer | None = None
    publisher: Publisher | None = None
    content: Content | None = None
    keywords: str | None = None
    kwarray: tuple[str, ...] | None = None
    inventorypartnerdomain: str | None = None


class App(RtbObject, frozen=True, kw_only=True):
    """The app that shows the ad. Section 3.2.14."""

    id: str | None = None
    name: str | None = None
    bundle: Name | None = None
    domain: str | None = None
    storeurl: str | None = None
    cattax: Integer = 1
    cat: tuple[str, ...] | None = None
    sectioncat: tuple[str, ...] | None = None
    pagecat: tuple[str, ...] | None = None
    ver: str | None = None
    privacypolicy: Integer | None = None
    paid: Integer | None = None
    publisher: Publisher | None = None
    content: Content | None = None
    keywords: str | None = None
    kwarray: tuple[str, ...] | None = None
    inventorypartnerdomain: str | None = None


class Publisher(RtbObject, frozen=True, kw_only=True):
    """Who owns the site, app or screens. Section 3.2.15."""

    id: Name | None = None
    name: str | None = None
    cattax: Integer = 1
    cat: tuple[str, ...] | None = None
    domain: str | None = None


class Content(RtbObject, frozen=True, kw_only=True):
    """What the ad stands beside. Section 3.2.16."""

    id: str | None = None
    episode: Integer | None = None
    title: str | None = None
    series: str | None = None
    season: str | None = None
    artist: str | None = None
    genre: str | None = None
    gtax: Integer = 9
    genres: tuple[str, ...] | None = None
    album: str | None = None
    isrc: str | None = None
    producer: Producer | None = None
    url: str | None = None
    cattax: Integer = 1
    cat: tuple[str, ...] | None = None
    prodq: Integer | None = None
    context: Integer | None = None
    contentrating: str | None = None
    userrating: str | None = None
    qagmediarating: Integer | None = None
    keywords: str | None = None
    kwarray: tuple[str, ...] | None = None
    livestream: Integer | None = None
    sourcerelationship: Integer | None = None
    len: Integer | None = None
    language: str | None = None
    langb: str | None = None
    embeddable: Integer | None = None
    data: tuple[Data, ...] | None = None
    network: Network | None = None
    channel: Channel | None = None
    realtime: Integer | None = None
    firstbroadcast: Integer | None = None


class Producer(RtbObject, frozen=True, kw_only=True):
    """Who made the content. Section 3.2.17."""

    id: str | None = None
    name: str | None = None
    cattax: Integer = 1
    cat: tuple[str, ...] | None = None
    domain: str | None = None


class Device(RtbObject, frozen=True, kw_only=True):
    """What the person holds. Section 3.2.18."""

    geo: Geo | None = None
    dnt: Integer | None = None
    lmt: Integer | None = None
    ua: str | None = None
    sua: UserAgent | None = None
    ip: str | None = None
    ipv6: str | None = None
    devicetype: Integer | None = None
    make: str | None = None
    model: str | None = None
    os: str | None = None
    osv: str | None = None
    hwv: str | None = None
    h: Pixels | None = None
    w: Pixels | None = None
    ppi: Natural | None = None
    pxratio: float | None = None
    js: Integer | None = None
    geofetch: Integer | None = None
    flashver: str | None = None
    language: str | None = None
    langb: str | None = None
    carrier: str | None = None
    mccmnc: str | None = None
    connectiontype: Integer | None = None
    ifa: str | None = None
    didsha1: str | None = None
    didmd5: str | None = None
    dpidsha1: str | None = None
    dpidmd5: str | None = None
    macsha1: str | None = None
    macmd5: str | None = None


class Geo(RtbObject, frozen=True, kw_only=True):
    """Where the device or the home of the person is. Section 3.2.19."""

    lat: Latitude | None = None
    lon: Longitude | None = None
    type: Integer | None = None
    accuracy: Natural | None = None
    lastfix: Integer | None = None
    ipservice: Integer | None = None
    country: Name | None = None
    region: str | None = None
    regionfips104: str | None = None
    metro: str | None = None
    city: str | None = None
    zip: str | None = None
    utcoffset: Integer | None = None


class User(RtbObject, frozen=True, kw_only=True):
    """The person. Section 3.2.20."""

    id: str | None = None
    buyeruid: str | None = None
    yob: Integer | None = None
    gender: str | None = None
    keywords: str | None = None
    kwarray: tuple[str, ...] | None = None
    customdata: str | None = None
    geo: Geo | None = None
    data: tuple[Data, ...] | None = None
    consent: str | None = None
    eids: tuple[Eid, ...] | None = None


class Data(RtbObject, frozen=True, kw_only=True):
    """Segments from one data provider. Section 3.2.21."""

    id: str | None = None
    name: str | None = None
    cids: tuple[str, ...] | None = None
    segment: tuple[Segment, ...] | None = None


class Segment(RtbObject, frozen=True, kw_only=True):
    """One fact about the person or the content. Section 3.2.22."""

    id: str | None = None
    name: str | None = None
    value: str | None = None


class Network(RtbObject, frozen=True, kw_only=True):
    """The network that carries the content. Section 3.2.23."""

    id: str | None = None
    name: str | None = None
    domain: str | None = None


class Channel(RtbObject, frozen=True, kw_only=True):
    """The channel that carries the content. Section 3.2.24."""

    id: str | None = None
    name: str | None = None
    domain: str | None = None


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


class Eid(RtbObject, frozen=True, kw_only=True):
    """Ids of the person from one source. Section 3.2.27."""

    inserter: str | None = None
    source: str | None = None
    matcher: str | None = None
    mm: Integer | None = None
    uids: tuple[Uid, ...] | None = None


class Uid(RtbObject, frozen=True, kw_only=True):
    """One id of the person. Section 3.2.28."""

    id: str | None = None
    atype: Integer | None = None


class UserAgent(RtbObject, frozen=True, kw_only=True):
    """User agent client hints. Section 3.2.29."""

    browsers: tuple[BrandVersion, ...] | None = None
    platform: BrandVersion | None = None
    mobile: Integer | None = None
    architecture: str | None = None
    bitness: str | None = None
    model: str | None = None
    source: Integer = 0


class BrandVersion(RtbObject, frozen=True, kw_only=True):
    """A browser or platform and its version. Section 3.2.30."""

    brand: str
    version: tuple[str, ...] | None = None


class Qty(RtbObject, frozen=True, kw_only=True):
    """How many people see one showing. Section 3.2.31."""

    multiplier: float
    sourcetype: Integer | None = None
    vendor: str | None = None


class Dooh(RtbObject, frozen=True, kw_only=True):
    """The digital out-of-home screens that show the ad. Section 3.2.32."""

    id: str | None = None
    name: str | None = None
    venuetype: tuple[str, ...] | None = None
    venuetypetax: Integer = 1
    publisher: Publisher | None = None
    domain: Name | None = None
    keywords: str | None = None
    content: Content | None = None


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
