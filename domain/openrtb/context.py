"""Where an ad is shown: the objects of OpenRTB 2.6 (release 202606) around site, app and screen.

Sections 3.2.13 to 3.2.17, 3.2.21 to 3.2.24 and 3.2.32.
"""

from __future__ import annotations

from domain.openrtb.fields import Integer, Name, RtbObject


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
