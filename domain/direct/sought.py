"""Which segments live campaigns are for: of nobody else's segments anything is looked up, or kept.

It never changes: a change makes another one that shares all that stayed the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from domain.catalogue import SegmentTarget
from domain.direct.campaign import LiveCampaign
from domain.direct.shards import Shards
from domain.limits import SEGMENTS_OF_A_VIEWER_MAX

_NOBODY: Final[Mapping[str, int]] = MappingProxyType({})


class SegmentsSought:
    """By how many campaigns each segment and each feed client is."""

    __slots__ = ("_campaigns_of", "_counts", "clients")

    def __init__(
        self, counts: Shards[SegmentTarget, int] | None = None, campaigns_of: Mapping[str, int] = _NOBODY
    ) -> None:
        """Begin with NOTHING_SOUGHT: `with_changes` passes the arguments."""
        self._counts: Shards[SegmentTarget, int] = Shards() if counts is None else counts
        self._campaigns_of = campaigns_of
        self.clients = tuple(sorted(campaigns_of, key=lambda client: (-campaigns_of[client], client)))
        """The names of feed clients, those first that most campaigns are for."""

    def __repr__(self) -> str:
        return f"SegmentsSought(segments={len(self._counts)}, clients={len(self._campaigns_of)})"

    def among(self, client: str, segments: Iterable[str]) -> list[SegmentTarget]:
        """Those of the client's segments that campaigns are for; no more than a look-up has time for."""
        found: dict[SegmentTarget, None] = {}
        for segment in segments:
            target = SegmentTarget(client, segment)
            if self._counts.get(target) is not None:
                found[target] = None
                if len(found) == SEGMENTS_OF_A_VIEWER_MAX:
                    break
        return [*found]

    def with_changes(self, leaving: Iterable[LiveCampaign], coming: Iterable[LiveCampaign]) -> SegmentsSought:
        """Without what those are for, and with what these are for."""
        changes: Counter[SegmentTarget] = Counter()
        of_clients: Counter[str] = Counter()
        for sign, campaigns in ((-1, leaving), (1, coming)):
            for each in campaigns:
                for target in each.segments:
                    changes[target] += sign
                for client in {target.client for target in each.segments}:
                    of_clients[client] += sign
        if not changes:
            return self
        counts = {target: (self._counts.get(target) or 0) + more or None for target, more in changes.items() if more}
        campaigns_of = Counter(self._campaigns_of)
        campaigns_of.update(of_clients)
        return SegmentsSought(self._counts.with_changes(counts), +campaigns_of)


NOTHING_SOUGHT: Final = SegmentsSought()
