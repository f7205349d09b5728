"""The rules that tie several fields of a bid request together (OpenRTB 2.6, sections 3.2 and 7.11.2).

A default counts as nothing said: `minduration` 0, `bidfloor` 0 and empty lists or texts contradict nobody.
What most requests do not have costs one look.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from domain.errors import Fault
from domain.limits import REQUEST_IMPS_MAX
from domain.openrtb.context import App, Content, Dooh, Site
from domain.openrtb.person import Device
from domain.openrtb.request import Audio, BidRequest, Deal, DurFloors, Imp, Qty, Video

EXCLUSIVE_LISTS = (("wseat", "bseat"), ("wlang", "wlangb"), ("acat", "bcat"))
"""Each pair is a list of what is allowed or preferred and its opposite or other notation: at most one is given."""
CHANNELS = ("site", "app", "dooh")
VENDOR_MEASURED = 1
"""`qty.sourcetype`: a measurement vendor says how many people see it."""


def broken_rules(request: BidRequest) -> list[Fault]:
    """Every cross-field rule that the request breaks; empty for a good one."""
    faults: list[Fault] = []
    if (request.site is not None) + (request.app is not None) + (request.dooh is not None) > 1:
        given = [name for name in CHANNELS if getattr(request, name) is not None]
        faults += (Fault(name, f"at most one of site, app and dooh, and {given[0]} is given") for name in given[1:])
    for one, other in EXCLUSIVE_LISTS:
        if getattr(request, one) and getattr(request, other):
            faults.append(Fault(other, f"at most one of {one} and {other}"))
    for name, channel in (("site", request.site), ("app", request.app), ("dooh", request.dooh)):
        if channel is not None:
            _check_channel(channel, name, faults)
    if request.device is not None:
        _check_language(request.device, "device", faults)
    user = request.user
    if user is not None and user.kwarray and user.keywords:
        faults.append(_two_keywords("user"))
    return faults + _broken_imp_rules(request.imp)


def _check_channel(channel: Site | App | Dooh, path: str, faults: list[Fault]) -> None:
    if not isinstance(channel, Dooh) and channel.kwarray and channel.keywords:
        faults.append(_two_keywords(path))
    content = channel.content
    if content is not None:
        if content.kwarray and content.keywords:
            faults.append(_two_keywords(f"{path}.content"))
        _check_language(content, f"{path}.content", faults)


def _check_language(holder: Device | Content, path: str, faults: list[Fault]) -> None:
    if holder.langb and holder.language:
        faults.append(Fault(f"{path}.langb", "at most one of language and langb"))


def _two_keywords(path: str) -> Fault:
    return Fault(f"{path}.kwarray", "at most one of keywords and kwarray")


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
        if imp.video is not None or imp.audio is not None or imp.pmp is not None or imp.qty is not None:
            faults += _broken_parts(imp, f"imp[{index}]")
    return faults


def _repeated_ids(imps: tuple[Imp, ...]) -> list[Fault]:
    first: dict[str, int] = {}
    return [
        Fault(f"imp[{index}].id", f"the same id as imp[{first[imp.id]}]")
        for index, imp in enumerate(imps)
        if first.setdefault(imp.id, index) != index
    ]


def _broken_parts(imp: Imp, path: str) -> Iterable[Fault]:
    """The rules of what a plain banner does not have."""
    parts: list[Iterable[Fault]] = []
    if imp.video is not None:
        parts.append(_broken_duration_rules(imp.video, f"{path}.video"))
    if imp.audio is not None:
        parts.append(_broken_duration_rules(imp.audio, f"{path}.audio"))
    if imp.pmp is not None:
        deals = imp.pmp.deals or ()
        parts += (_broken_deal_rules(deal, f"{path}.pmp.deals[{index}]") for index, deal in enumerate(deals))
    if imp.qty is not None:
        parts.append(_broken_quantity_rules(imp.qty, f"{path}.qty"))
    return chain.from_iterable(parts)


def _broken_duration_rules(media: Video | Audio, path: str) -> Iterator[Fault]:
    if media.rqddurs and (media.minduration or media.maxduration):
        yield Fault(f"{path}.rqddurs", "not together with minduration or maxduration")
    if media.durfloors:
        yield from _boundless_floors(media.durfloors, path)


def _broken_deal_rules(deal: Deal, path: str) -> Iterator[Fault]:
    given = [name for name in ("bidfloor", "mincpmpersec", "durfloors") if getattr(deal, name)]
    for name in given[1:]:
        yield Fault(f"{path}.{name}", f"at most one of bidfloor, mincpmpersec and durfloors, and {given[0]} is given")
    if deal.durfloors:
        yield from _boundless_floors(deal.durfloors, path)


def _boundless_floors(floors: tuple[DurFloors, ...], path: str) -> Iterator[Fault]:
    for index, floor in enumerate(floors):
        if floor.mindur is None and floor.maxdur is None:
            yield Fault(f"{path}.durfloors[{index}]", "either mindur or maxdur is required")


def _broken_quantity_rules(qty: Qty, path: str) -> Iterator[Fault]:
    if qty.sourcetype == VENDOR_MEASURED and not qty.vendor:
        yield Fault(f"{path}.vendor", f"required with sourcetype {VENDOR_MEASURED}")
