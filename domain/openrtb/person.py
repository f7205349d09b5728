"""Who sees an ad, and on what: the objects of OpenRTB 2.6 (release 202606) around device and user.

Sections 3.2.18 to 3.2.20 and 3.2.27 to 3.2.30.
"""

from __future__ import annotations

from domain.openrtb.context import Data
from domain.openrtb.fields import Integer, Latitude, Longitude, Name, Natural, Pixels, RtbObject


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
