"""Why nobody may learn who a person is: what a bid request says of the law and of the person's wishes.

Signals count wherever OpenRTB has had them: in the fields of 2.6, in `regs.ext` and `user.ext` of 2.5, and in the
sections of a GPP string that carry another framework's own text (2: TCF, 6: US privacy).
All of them are passed on to bidders as they came.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from domain.openrtb.fields import Ext
from domain.openrtb.person import User
from domain.openrtb.request import BidRequest, Regs
from domain.tcf import PRECISE_GEOLOCATION, Consent, consent_in

Restriction = Literal["coppa", "lmt", "dnt", "gdpr", "us_privacy", "gdpr_geo"]
"""All but `gdpr_geo` take ids, addresses and place away; that one only takes the precision of the place."""
ONLY_THE_PLACE = ("gdpr_geo",)
GPP_TCF_EU = 2
GPP_US_PRIVACY = 6

_US_PRIVACY = re.compile(r"1[YN-](?P<opt_out>[YN-])[YN-]", re.IGNORECASE)
"""Version, notice given, opt-out of sale, LSPA covered."""


class _ExtOf25(msgspec.Struct, frozen=True, gc=False):
    """What OpenRTB 2.5 carried in an `ext`, of whatever type senders made it."""

    gdpr: Any = None
    consent: Any = None
    us_privacy: Any = None
    gpp: Any = None
    gpp_sid: Any = None


_decode_ext = msgspec.json.Decoder(_ExtOf25).decode
_NO_EXT = _ExtOf25()
_NO_SECTIONS: Mapping[int, str] = MappingProxyType({})


def restrictions_of(request: BidRequest) -> tuple[Restriction, ...]:
    """Every reason to keep ids or places from bidders and log; empty: nothing forbids them."""
    device, regs = request.device, request.regs
    found: list[Restriction] = []
    if regs is not None and regs.coppa == 1:
        found.append("coppa")
    if device is not None and device.lmt == 1:
        found.append("lmt")
    if device is not None and device.dnt == 1:
        found.append("dnt")
    if regs is not None:
        _add_from_laws(regs, request.user, found)
    return tuple(found)


def may_be_profiled(request: BidRequest, restricted_by: tuple[Restriction, ...]) -> bool:
    """Whether an ad may be chosen by what others know of the person; `restricted_by` is the request's.

    Whoever may not be told apart is never looked up; under the GDPR only who consented to just that (purpose 4).
    """
    if restricted_by and restricted_by != ONLY_THE_PLACE:
        return False
    regs = request.regs
    if regs is None:
        return True
    ext = _read_ext(regs.ext)
    gpp_sections = _applicable(regs, ext)
    if not _is_under_gdpr(regs, ext, gpp_sections):
        return True
    consent = _consent(request.user, gpp_sections)
    return consent is not None and consent.allows_profiles


def consent_of(user: User) -> str | None:
    """The person's TC string, also from where OpenRTB 2.5 had it."""
    consent = user.consent or _read_ext(user.ext).consent
    return consent if isinstance(consent, str) and consent.strip() else None


def _add_from_laws(regs: Regs, user: User | None, found: list[Restriction]) -> None:
    ext = _read_ext(regs.ext)
    gpp_sections = _applicable(regs, ext)
    if _is_under_gdpr(regs, ext, gpp_sections):
        consent = _consent(user, gpp_sections)
        if consent is None or not consent.allows_ids:
            found.append("gdpr")
        elif not consent.opted_in(PRECISE_GEOLOCATION):
            found.append("gdpr_geo")
    if _opts_out(regs.us_privacy) or _opts_out(ext.us_privacy) or _opts_out(gpp_sections.get(GPP_US_PRIVACY)):
        found.append("us_privacy")


def _is_under_gdpr(regs: Regs, ext: _ExtOf25, gpp_sections: Mapping[int, str]) -> bool:
    return regs.gdpr == 1 or ext.gdpr in (1, "1") or GPP_TCF_EU in gpp_sections


def _consent(user: User | None, gpp_sections: Mapping[int, str]) -> Consent | None:
    """None where it cannot be read, or nothing was said."""
    tc_string = (consent_of(user) if user is not None else None) or gpp_sections.get(GPP_TCF_EU)
    return consent_in(tc_string.strip()) if tc_string else None


def _opts_out(us_privacy: Any) -> bool:
    """Whether it is a US privacy string with an opt-out; one that cannot be read says nothing."""
    if not isinstance(us_privacy, str):
        return False
    read = _US_PRIVACY.fullmatch(us_privacy.strip())
    return read is not None and read["opt_out"] in "Yy"


def _applicable(regs: Regs, ext: _ExtOf25) -> Mapping[int, str]:
    """The sections 2 and 6 of the GPP string that apply, empty where it does not hold them.

    No need to read its header: sections stand in the order of their numbers, and none before 2 is in use; a US privacy
    string looks like nothing else.
    """
    applicable = regs.gpp_sid or (ext.gpp_sid if isinstance(ext.gpp_sid, list) else ())
    if not applicable:
        return _NO_SECTIONS
    gpp = regs.gpp or (ext.gpp if isinstance(ext.gpp, str) else "")
    _, *sections = gpp.split("~")
    found: dict[int, str] = {}
    if GPP_TCF_EU in applicable:
        found[GPP_TCF_EU] = sections[0] if sections else ""
    if GPP_US_PRIVACY in applicable:
        found[GPP_US_PRIVACY] = next((each for each in sections if _US_PRIVACY.fullmatch(each)), "")
    return found


def _read_ext(ext: Ext) -> _ExtOf25:
    if not isinstance(ext, msgspec.Raw):
        return _NO_EXT
    try:
        return _decode_ext(ext)
    except msgspec.ValidationError:  # not an object
        return _NO_EXT
