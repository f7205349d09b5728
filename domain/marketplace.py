"""Makes the market out of entities as they come, in any order, and from then on only what a change touches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from domain.catalogue import (
    Ad,
    Advertiser,
    Bidder,
    Campaign,
    CurrencyRate,
    Deal,
    FeedClient,
    Placement,
    Publisher,
    Status,
    Terms,
)
from domain.currency import Rates
from domain.direct.campaign import LiveCampaign, live_campaign
from domain.direct.index import DirectIndex
from domain.entity import Entity, EntityKind
from domain.market import Market, RegisteredBidder, RegisteredPlacement

TRADED: Final[dict[EntityKind, type[Terms]]] = {
    "bidder": Bidder,
    "placement": Placement,
    "publisher": Publisher,
    "deal": Deal,
    "currency_rate": CurrencyRate,
    "advertiser": Advertiser,
    "campaign": Campaign,
    "ad": Ad,
    "feed_client": FeedClient,
}
"""What auctions trade on."""


class UnreadableTerms(NamedTuple):
    """An entity that takes no part, because its newest terms are not of their kind's shape."""

    kind: EntityKind
    id: str
    error: str


class _Known(NamedTuple):
    version: int
    status: Status
    terms: Terms | None
    """None: they cannot be read."""
    active_since: float
    """As `Entity.active_since`."""


class Marketplace:
    """Versions only rise: an entity that comes late or twice changes nothing, and none is ever forgotten."""

    def __init__(self) -> None:
        self.market = Market()
        """As of the last `publish`."""
        self._known: dict[EntityKind, dict[str, _Known]] = {kind: {} for kind in TRADED}
        self._changed: dict[EntityKind, set[str]] = {kind: set() for kind in TRADED}
        """Since the last `publish`."""
        self._placements_of: dict[str, set[str]] = {}
        self._campaigns_of: dict[str, set[str]] = {}
        self._ads_of: dict[str, set[str]] = {}

    def __repr__(self) -> str:
        return f"Marketplace(entities={len(self)})"

    def __len__(self) -> int:
        return sum(map(len, self._known.values()))

    def take(self, entities: Iterable[Entity]) -> list[UnreadableTerms]:
        """Takes up what is newer than what is known; the market stays as it is until `publish`."""
        unreadable = []
        for entity in entities:
            of_kind = self._known.get(entity.kind)
            if of_kind is None:
                continue
            known = of_kind.get(entity.id)
            if known is not None and known.version >= entity.version:
                continue
            try:
                terms = msgspec.json.decode(entity.terms, type=TRADED[entity.kind])
            except msgspec.DecodeError as error:
                unreadable.append(UnreadableTerms(entity.kind, entity.id, str(error)))
                terms = None
            of_kind[entity.id] = _Known(entity.version, entity.status, terms, entity.active_since)
            self._changed[entity.kind].add(entity.id)
            self._note_owner(entity.id, terms)
        return unreadable

    def publish(self) -> Market:
        """The market with all that was taken; the very same one if nothing was."""
        changed = {kind: ids for kind, ids in self._changed.items() if ids}
        if not changed:
            return self.market
        market = self.market
        self.market = market.replaced(
            bidders=self._bidders() if "bidder" in changed else market.bidders,
            placements=self._placements(changed),
            publishers=self._publishers() if "publisher" in changed else market.publishers,
            deals=self._deals() if "deal" in changed else market.deals,
            rates=self._rates() if "currency_rate" in changed else market.rates,
            direct=self._direct(changed),
            feed_clients=self._feed_clients() if "feed_client" in changed else market.feed_clients,
        )
        for ids in changed.values():
            ids.clear()
        return self.market

    def campaign(self, campaign_id: str) -> Campaign | None:
        """Its newest terms, whatever its status; None if it is not known, or they cannot be read."""
        known = self._known["campaign"].get(campaign_id)
        return known.terms if known is not None and isinstance(known.terms, Campaign) else None

    # -- the parts ---------------------------------------------------------------------------------

    def _bidders(self) -> tuple[RegisteredBidder, ...]:
        """Oldest first, because their ids are UUIDv7."""
        return tuple(
            RegisteredBidder(bidder_id, known.version, known.status, known.terms)
            for bidder_id, known in sorted(self._known["bidder"].items())
            if known.status == "active" and isinstance(known.terms, Bidder)
        )

    def _publishers(self) -> dict[str, Publisher]:
        return {
            publisher_id: known.terms
            for publisher_id, known in sorted(self._known["publisher"].items())
            if known.status != "archived" and isinstance(known.terms, Publisher)
        }

    def _deals(self) -> dict[str, Deal]:
        return {
            deal_id: known.terms
            for deal_id, known in sorted(self._known["deal"].items())
            if known.status == "active" and isinstance(known.terms, Deal)
        }

    def _rates(self) -> Rates:
        return Rates(
            known.terms
            for _, known in sorted(self._known["currency_rate"].items())
            if isinstance(known.terms, CurrencyRate)
        )

    def _feed_clients(self) -> frozenset[str]:
        return frozenset(
            known.terms.name
            for known in self._known["feed_client"].values()
            if known.status == "active" and isinstance(known.terms, FeedClient)
        )

    def _placements(self, changed: dict[EntityKind, set[str]]) -> Mapping[str, RegisteredPlacement]:
        touched = changed.get("placement", set()).union(
            *(self._placements_of.get(publisher_id, ()) for publisher_id in changed.get("publisher", ()))
        )
        if not touched:
            return self.market.placements
        placements = dict(self.market.placements)
        for placement_id in touched:
            known = self._known["placement"][placement_id]
            if known.status == "archived" or not isinstance(known.terms, Placement):
                placements.pop(placement_id, None)
            else:
                status = self._status_beside_publisher(known.status, known.terms)
                placements[placement_id] = RegisteredPlacement(placement_id, status, known.terms)
        return placements

    def _status_beside_publisher(self, status: Status, placement: Placement) -> Status:
        """A placement of a publisher that is paused or archived sells nothing either."""
        publisher = self._known["publisher"].get(placement.publisher_id)
        return status if publisher is None or publisher.status == "active" else "paused"

    def _direct(self, changed: dict[EntityKind, set[str]]) -> DirectIndex:
        touched = changed.get("campaign", set()).union(
            *(self._campaigns_of.get(advertiser_id, ()) for advertiser_id in changed.get("advertiser", ())),
            (
                ad.terms.campaign_id
                for ad_id in changed.get("ad", ())
                if isinstance((ad := self._known["ad"][ad_id]).terms, Ad)
            ),
        )
        live = {campaign_id: self._live_campaign(campaign_id) for campaign_id in touched}
        gone = (campaign_id for campaign_id, campaign in live.items() if campaign is None)
        return self.market.direct.without(gone).with_campaigns(each for each in live.values() if each is not None)

    def _live_campaign(self, campaign_id: str) -> LiveCampaign | None:
        """None for one that cannot bid: it, its advertiser or all of its ads are not active."""
        campaign = self._known["campaign"].get(campaign_id)
        if campaign is None or campaign.status != "active" or not isinstance(campaign.terms, Campaign):
            return None
        advertiser = self._known["advertiser"].get(campaign.terms.advertiser_id)
        if advertiser is None or advertiser.status != "active" or not isinstance(advertiser.terms, Advertiser):
            return None
        known = ((ad_id, self._known["ad"][ad_id]) for ad_id in self._ads_of.get(campaign_id, ()))
        ads = [(ad_id, ad.terms) for ad_id, ad in known if ad.status == "active" and isinstance(ad.terms, Ad)]
        if not ads:
            return None
        return live_campaign(campaign_id, campaign.terms, advertiser.terms, ads, campaign.active_since)

    def _note_owner(self, entity_id: str, terms: Terms | None) -> None:
        """Owners never change, but for those that logs of old may hold: what is then told twice does no harm."""
        match terms:
            case Placement(publisher_id=owner):
                self._placements_of.setdefault(owner, set()).add(entity_id)
            case Campaign(advertiser_id=owner):
                self._campaigns_of.setdefault(owner, set()).add(entity_id)
            case Ad(campaign_id=owner):
                self._ads_of.setdefault(owner, set()).add(entity_id)
