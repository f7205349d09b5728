"""The catalogue as one auction sees it: everybody who may buy, and on what terms. Replaced whole, never mutated."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from domain.catalogue import Bidder, Deal, Placement, Publisher, Status
from domain.currency import NO_RATES, Rates

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class RegisteredBidder(msgspec.Struct, frozen=True):
    """A bidder as auctions see it."""

    id: str
    version: int
    status: Status
    terms: Bidder


class RegisteredPlacement(msgspec.Struct, frozen=True):
    """A placement that is not archived; a paused one sells nothing."""

    id: str
    status: Status
    terms: Placement


class Market(msgspec.Struct, frozen=True):
    """What stands in the catalogue at one moment."""

    bidders: tuple[RegisteredBidder, ...] = ()
    """Active ones, oldest first."""
    placements: Mapping[str, RegisteredPlacement] = _NOTHING
    publishers: Mapping[str, Publisher] = _NOTHING
    """All but archived ones."""
    deals: Mapping[str, Deal] = _NOTHING
    """Active ones, by the id that bids name."""
    rates: Rates = NO_RATES
