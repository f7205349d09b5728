"""Simulated pages: websites without a server of their own that bids for them, which ask for their ads with a tag."""

from __future__ import annotations

import random
from collections.abc import Iterator
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urlencode

import msgspec

from gavel.simulate.arrivals import at_arrivals, observed
from gavel.simulate.bid_requests import CONSENT, NO_CONSENT_SHARE
from gavel.simulate.chance import chance
from gavel.simulate.example_catalogue import Stored
from gavel.simulate.exchange_client import ExchangeClient
from gavel.simulate.figures import Observations
from gavel.simulate.inventory import Viewer, viewer_at
from gavel.simulate.viewers import Award, Viewers

IMP_ID = "1"
DO_NOT_TRACK_SHARE = 0.1


class PageView(NamedTuple):
    """A page that a viewer opens, and the one ad on it."""

    key: str
    """Names the view in the same way in every run of a seed."""
    target: str
    headers: str
    viewer: Viewer


class _Ad(msgspec.Struct):
    auction_id: str
    markup: str
    house: bool


_decode_ad = msgspec.json.Decoder(_Ad).decode


def page_views(seed: int, stored: Stored) -> Iterator[PageView]:
    """Views without end of pages with stored placements; none where nothing is stored."""
    rng = chance(seed, "pages")
    spaces = sorted((domain, placement) for (domain, _), placement in stored.placements.items())
    number = 0
    while spaces:
        number += 1
        domain, placement = rng.choice(spaces)
        yield _view(f"{seed}-page-{number}", domain, placement, viewer_at(rng.random()), rng)


def _view(key: str, domain: str, placement: str, viewer: Viewer, rng: random.Random) -> PageView:
    country = viewer.country
    asked = {
        "placement": placement,
        "url": f"https://{domain}/articles/{rng.randrange(5_000)}",
        "country": country.code,
    }
    if country.gdpr:
        asked["gdpr"] = "1"
        if rng.random() >= NO_CONSENT_SHARE:
            asked["consent"] = CONSENT
    headers = (
        f"User-Agent: {viewer.device.user_agent}\r\nX-Forwarded-For: {viewer.ip}\r\n"
        f"Accept-Language: {country.language}\r\n"
    )
    if rng.random() < DO_NOT_TRACK_SHARE:
        headers += "DNT: 1\r\n"
    return PageView(key, f"/ad?{urlencode(asked)}", headers, viewer)


class Pages:
    """Asks for the ads of pages when they are opened, whether or not earlier ones were answered."""

    def __init__(self, client: ExchangeClient, viewers: Viewers, observations: Observations) -> None:
        self._client = client
        self._viewers = viewers
        self._seen = observations

    def __repr__(self) -> str:
        return f"Pages({self._client!r})"

    async def open(self, views: Iterator[PageView], gaps: Iterator[float]) -> None:
        """Opens a page after each gap (seconds), then waits for the answers that are outstanding."""
        await at_arrivals(gaps, lambda due: self._ask(next(views), due))

    async def _ask(self, view: PageView, due: float) -> None:
        answer = await observed(self._client.get(view.target, view.headers), self._seen, due)
        if answer is not None and answer.status == HTTPStatus.OK:
            self._show(view, answer.body)

    def _show(self, view: PageView, body: bytes) -> None:
        try:
            ad = _decode_ad(body)
        except msgspec.DecodeError:
            self._seen.figures.unreadable += 1
            return
        # A house ad has no pixel. Whose another ad is, and for how much, a page is not told.
        if not ad.house:
            self._viewers.show(
                Award(
                    imp=(ad.auction_id, IMP_ID),
                    key=view.key,
                    seat="",
                    clearing_price_micros=0,
                    markup=ad.markup,
                    viewer=view.viewer,
                    test=False,
                )
            )
