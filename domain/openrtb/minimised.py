"""What of a bid request may be kept or passed on about a person.

The log gets pseudonyms and a coarse place at most. Where the law or the person forbids it (see `restrictions`) nobody
gets even that. `device` and `user` are then written from the specification's fields alone, because an unknown field or
an `ext` in there may hold an id; all other unknown fields stay.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from domain.openrtb.context import Data
from domain.openrtb.parse import Members, ParsedRequest
from domain.openrtb.person import BrandVersion, Device, Eid, Geo, User, UserAgent
from domain.openrtb.request import BidRequest
from domain.openrtb.restrictions import ONLY_THE_PLACE, Restriction, consent_of
from domain.privacy import pseudonym, truncate_ip

GEO_DECIMALS = 1
"""About 11 km."""
_DEVICE_IDS = ("ifa", "didsha1", "didmd5", "dpidsha1", "dpidmd5", "macsha1", "macmd5")
_NO_DEVICE_IDS: dict[str, Any] = dict.fromkeys(_DEVICE_IDS)

_encode = msgspec.json.Encoder().encode
_decode_members = msgspec.json.Decoder(Members).decode


def request_for_log(parsed: ParsedRequest, pseudonym_key: bytes, restricted_by: tuple[Restriction, ...]) -> msgspec.Raw:
    """The publisher's request for keeping: no full address, no id but a pseudonym, no place but a coarse one.

    A restricted request leaves not even pseudonyms.
    """
    request = parsed.request
    if request.device is None and request.user is None:
        return msgspec.Raw(_encode(parsed.members))
    personal = without_ids(request) if _hide_person(restricted_by) else _with_pseudonyms(request, pseudonym_key)
    return msgspec.Raw(_encode(parsed.members | personal))


def members_for_bidders(parsed: ParsedRequest, restricted_by: tuple[Restriction, ...]) -> Members:
    """The request's members as bidders may have them; those that nothing forbids are as they came."""
    if _hide_person(restricted_by):
        return parsed.members | without_ids(parsed.request)
    return parsed.members | _with_coarse_places(parsed) if restricted_by else parsed.members.copy()


def _hide_person(restricted_by: tuple[Restriction, ...]) -> bool:
    return bool(restricted_by) and restricted_by != ONLY_THE_PLACE


# -- restricted: nothing that tells one person from another ----------------------------------------


def without_ids(request: BidRequest) -> Members:
    members: Members = {}
    device, user = request.device, request.user
    if device is not None:
        members["device"] = _raw(
            replace(
                device,
                geo=_country_and_region(device.geo),
                sua=_plain_agent(device.sua),
                **_cut_addresses(device),
                **_NO_DEVICE_IDS,
                ext=UNSET,
            )
        )
    if user is not None:
        members["user"] = _raw(User(geo=_country_and_region(user.geo), consent=consent_of(user)))
    return members


def _country_and_region(geo: Geo | None) -> Geo | None:
    if geo is None:
        return None
    return Geo(country=geo.country, region=geo.region, regionfips104=geo.regionfips104, utcoffset=geo.utcoffset)


def _plain_agent(sua: UserAgent | None) -> UserAgent | None:
    """The client hints of the specification only: an `ext` could hold anything about a person."""
    if sua is None:
        return None
    browsers = None if sua.browsers is None else tuple(_plain_brand(each) for each in sua.browsers)
    platform = None if sua.platform is None else _plain_brand(sua.platform)
    return replace(sua, browsers=browsers, platform=platform, ext=UNSET)


def _plain_brand(brand: BrandVersion) -> BrandVersion:
    return BrandVersion(brand=brand.brand, version=brand.version)


# -- for bidders that may know the person, but not where exactly it is ------------------------------


def _with_coarse_places(parsed: ParsedRequest) -> Members:
    """Device and user as they came, but for their `geo`."""
    members: Members = {}
    for name, holder in (("device", parsed.request.device), ("user", parsed.request.user)):
        if holder is not None and holder.geo is not None:
            geo = msgspec.Raw(_encode(_coarse(holder.geo)))
            members[name] = msgspec.Raw(_encode(_decode_members(parsed.members[name]) | {"geo": geo}))
    return members


# -- for the log: the same person is recognised, and nobody learns who it is ------------------------


def _with_pseudonyms(request: BidRequest, key: bytes) -> Members:
    members: Members = {}
    device, user = request.device, request.user
    if device is not None:
        ids = {name: _pseudonym(key, getattr(device, name)) for name in _DEVICE_IDS}
        sua = _plain_agent(device.sua)
        members["device"] = _raw(
            replace(device, geo=_coarse(device.geo), sua=sua, **_cut_addresses(device), **ids, ext=UNSET)
        )
    if user is not None:
        members["user"] = _raw(
            User(
                id=_pseudonym(key, user.id),
                buyeruid=_pseudonym(key, user.buyeruid),
                keywords=user.keywords,
                kwarray=user.kwarray,
                geo=_coarse(user.geo),
                data=None if user.data is None else tuple(_without_ext(data) for data in user.data),
                consent=consent_of(user),
                eids=None if user.eids is None else tuple(_with_pseudonymous_uids(eid, key) for eid in user.eids),
            )
        )
    return members


def _pseudonym(key: bytes, value: str | None) -> str | None:
    return pseudonym(key, value) if value else None


def _with_pseudonymous_uids(eid: Eid, key: bytes) -> Eid:
    uids = tuple(replace(uid, id=_pseudonym(key, uid.id), ext=UNSET) for uid in eid.uids or ())
    return replace(eid, uids=uids, ext=UNSET)


def _without_ext(data: Data) -> Data:
    segments = tuple(replace(segment, ext=UNSET) for segment in data.segment or ())
    return replace(data, segment=segments, ext=UNSET)


def _coarse(geo: Geo | None) -> Geo | None:
    if geo is None:
        return None
    return replace(
        geo,
        lat=None if geo.lat is None else round(geo.lat, GEO_DECIMALS),
        lon=None if geo.lon is None else round(geo.lon, GEO_DECIMALS),
        accuracy=None,
        lastfix=None,
        zip=None,
        ext=UNSET,
    )


def _cut_addresses(device: Device) -> dict[str, str | None]:
    return {
        "ip": truncate_ip(device.ip) or None if device.ip else None,
        "ipv6": truncate_ip(device.ipv6) or None if device.ipv6 else None,
    }


def _raw(value: Device | User) -> msgspec.Raw:
    return msgspec.Raw(_encode(value))
