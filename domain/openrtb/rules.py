"""The rules that tie several fields of a bid request together (OpenRTB 2.6, section 3.2)."""

from __future__ import annotations

from domain.errors import Fault
from domain.limits import REQUEST_IMPS_MAX
from domain.openrtb.request import BidRequest, Imp

EXCLUSIVE_LISTS = (("wseat", "bseat"), ("wlang", "wlangb"), ("acat", "bcat"))
"""Each pair is a list of what is allowed or preferred and its opposite or other notation: at most one is given."""
CHANNELS = ("site", "app", "dooh")


def broken_rules(request: BidRequest) -> list[Fault]:
    """Every cross-field rule that the request breaks; empty for a good one."""
    faults: list[Fault] = []
    if (request.site is not None) + (request.app is not None) + (request.dooh is not None) > 1:
        given = [name for name in CHANNELS if getattr(request, name) is not None]
        faults += (Fault(name, f"at most one of site, app and dooh, and {given[0]} is given") for name in given[1:])
    for one, other in EXCLUSIVE_LISTS:
        if getattr(request, one) and getattr(request, other):
            faults.append(Fault(other, f"at most one of {one} and {other}"))
    return faults + _broken_imp_rules(request.imp)


def _broken_imp_rules(imps: tuple[Imp, ...]) -> list[Fault]:
    if not imps:
        return [Fault("imp", "at least one is required")]
    if len(imps) > REQUEST_IMPS_MAX:
        return [Fault("imp", f"more than {REQUEST_IMPS_MAX}")]
    faults: list[Fault] = []
    if len(imps) > 1 and len({imp.id for imp in imps}) < len(imps):
        faults += _repeated_ids(imps)
    for index, imp in enumerate(imps):
        if imp.banner is None and imp.video is None and imp.audio is None and imp.native is None:
            faults.append(Fault(f"imp[{index}]", "offers none of banner, video, audio and native"))
    return faults


def _repeated_ids(imps: tuple[Imp, ...]) -> list[Fault]:
    first: dict[str, int] = {}
    return [
        Fault(f"imp[{index}].id", f"the same id as imp[{first[imp.id]}]")
        for index, imp in enumerate(imps)
        if first.setdefault(imp.id, index) != index
    ]
