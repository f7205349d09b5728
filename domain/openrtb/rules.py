"""The rules that tie several fields of a bid request together (OpenRTB 2.6, sections 3.2 and 7.11.2).

A default counts as nothing said: `minduration` 0, `bidfloor` 0 and empty lists or texts contradict nobody.
What most requests do not have costs one look.
"""

from __future__ import annotations

from collections.abc import Iterator

from domain.errors import Fault
from domain.limits import REQUEST_IMPS_MAX
from domain.openrtb.context import App, Dooh, Site
from domain.openrtb.request import Audio, BidRequest, Deal, DurFloors, Imp, Video

EXCLUSIVE_LISTS = (("wseat", "bseat"), ("wlang", "wlangb"), ("acat", "bcat"))
"""Each pair is a list of what is allowed or preferred and its opposite or other notation: at most one is given."""
CHANNELS = ("site", "app", "dooh")
FLOORS = ("bidfloor", "mincpmpersec", "durfloors")
"""A deal states at most one of them."""
VENDOR_MEASURED = 1
"""`qty.sourcetype`: a measurement vendor says how many people see it."""


def broken_rules(request: BidRequest) -> Iterator[Fault]:
    """Every cross-field rule that the request breaks, found as they are asked for; none for a good request."""
    if (request.site is not None) + (request.app is not None) + (request.dooh is not None) > 1:
        given = [name for name in CHANNELS if getattr(request, name) is not None]
        yield from (Fault(name, f"at most one of site, app and dooh, and {given[0]} is given") for name in given[1:])
    for one, other in EXCLUSIVE_LISTS:
        if getattr(request, one) and getattr(request, other):
            yield Fault(other, f"at most one of {one} and {other}")
    for name in CHANNELS:
        channel = getattr(request, name)
        if channel is not None:
            yield from _broken_channel_rules(channel, name)
    device, user = request.device, request.user
    if device is not None and device.langb and device.language:
        yield _two_languages("device")
    if user is not None and user.kwarray and user.keywords:
        yield _two_keywords("user")
    yield from _broken_imp_rules(request.imp)


def _broken_channel_rules(channel: Site | App | Dooh, path: str) -> Iterator[Fault]:
    if not isinstance(channel, Dooh) and channel.kwarray and channel.keywords:
        yield _two_keywords(path)
    content = channel.content
    if content is None:
        return
    if content.kwarray and content.keywords:
        yield _two_keywords(f"{path}.content")
    if content.langb and content.language:
        yield _two_languages(f"{path}.content")


def _two_keywords(path: str) -> Fault:
    return Fault(f"{path}.kwarray", "at most one of keywords and kwarray")


def _two_languages(path: str) -> Fault:
    return Fault(f"{path}.langb", "at most one of language and langb")


def _broken_imp_rules(imps: tuple[Imp, ...]) -> Iterator[Fault]:
    if not imps:
        yield Fault("imp", "at least one is required")
    if len(imps) > REQUEST_IMPS_MAX:
        yield Fault("imp", f"more than {REQUEST_IMPS_MAX}")
        return
    if len(imps) > 1 and len({imp.id for imp in imps}) < len(imps):
        yield from _repeated_ids(imps)
    for index, imp in enumerate(imps):
        if imp.banner is None and imp.video is None and imp.audio is None and imp.native is None:
            yield Fault(f"imp[{index}]", "offers none of banner, video, audio and native")
        if imp.video is not None or imp.audio is not None or imp.pmp is not None or imp.qty is not None:
            yield from _broken_part_rules(imp, f"imp[{index}]")


def _repeated_ids(imps: tuple[Imp, ...]) -> Iterator[Fault]:
    first: dict[str, int] = {}
    for index, imp in enumerate(imps):
        if first.setdefault(imp.id, index) != index:
            yield Fault(f"imp[{index}].id", f"the same id as imp[{first[imp.id]}]")


def _broken_part_rules(imp: Imp, path: str) -> Iterator[Fault]:
    """The rules of what a plain banner does not have."""
    if imp.video is not None:
        yield from _broken_duration_rules(imp.video, f"{path}.video")
    if imp.audio is not None:
        yield from _broken_duration_rules(imp.audio, f"{path}.audio")
    if imp.pmp is not None:
        for index, deal in enumerate(imp.pmp.deals or ()):
            yield from _broken_deal_rules(deal, f"{path}.pmp.deals[{index}]")
    if imp.qty is not None and imp.qty.sourcetype == VENDOR_MEASURED and not imp.qty.vendor:
        yield Fault(f"{path}.qty.vendor", f"required with sourcetype {VENDOR_MEASURED}")


def _broken_duration_rules(media: Video | Audio, path: str) -> Iterator[Fault]:
    if media.rqddurs and (media.minduration or media.maxduration):
        yield Fault(f"{path}.rqddurs", "not together with minduration or maxduration")
    if media.durfloors:
        yield from _boundless_floors(media.durfloors, path)


def _broken_deal_rules(deal: Deal, path: str) -> Iterator[Fault]:
    given = [name for name in FLOORS if getattr(deal, name)]
    for name in given[1:]:
        yield Fault(f"{path}.{name}", f"at most one of {', '.join(FLOORS)}, and {given[0]} is given")
    if deal.durfloors:
        yield from _boundless_floors(deal.durfloors, path)


def _boundless_floors(floors: tuple[DurFloors, ...], path: str) -> Iterator[Fault]:
    for index, floor in enumerate(floors):
        if floor.mindur is None and floor.maxdur is None:
            yield Fault(f"{path}.durfloors[{index}]", "either mindur or maxdur is required")
