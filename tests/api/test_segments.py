"""Campaigns for segments in auctions: from a feed client's record in the log to the story of the auction."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from time import monotonic
from typing import Any, NamedTuple

import msgspec
import pytest

from domain.feed_events import FeedRecordAdded, FeedRecordDeleted
from domain.feeds.sealing import CHANGES, NONCE_BYTES, seal
from domain.names import Names
from domain.replay import replay
from gavel.feed_keys import FeedKeyFile
from gavel.settings import Settings
from projections.logged_auctions import deciding_events
from tests.api.conftest import bid_request
from tests.api.running_api import RunningApi, until
from tests.api.test_catalogue import ask, registered
from tests.api.test_engagements import BROWSER

VIEWER = "viewer-of-segments-17"
SEEN_WITHIN_SECONDS = 1.0
SEGMENT = "cars-of-a-secret-make"


class Audience(NamedTuple):
    """A campaign for a segment, on a placement that is too dear for everybody else."""

    api: RunningApi
    settings: Settings
    client: dict[str, Any]
    placement: str
    campaign: str
    ad: str

    @property
    def targeting(self) -> dict[str, Any]:
        segments = [{"client": self.client["name"], "segment": SEGMENT}]
        return {"placement_ids": [self.placement], "segments": segments}

    async def put(self, *segments: str) -> None:
        """A change of the viewer's record."""
        key, sealed = FeedKeyFile.of(self.settings), msgspec.json.encode({"segments": segments})
        key.ensure_key(self.client["id"], datetime.now(UTC))
        data_key = key.opened(self.client["id"], key.read().clients[self.client["id"]][0])
        ciphertext = seal(
            sealed,
            data_key=data_key.secret,
            nonce=secrets.token_bytes(NONCE_BYTES),
            client=self.client["id"],
            topic=CHANGES,
            key=VIEWER,
        )
        await self._log(FeedRecordAdded(**self._head(), key=VIEWER, key_id=data_key.id, ciphertext=ciphertext))

    async def delete(self) -> None:
        await self._log(FeedRecordDeleted(**self._head(), key=VIEWER))

    async def hold(self, **changes: Any) -> tuple[str, str | None]:
        """An auction with the viewer, and the ad that won it."""
        imp = {"id": "1", "tagid": self.placement, "banner": {"format": [{"w": 300, "h": 250}]}}
        request = bid_request(imp=[imp], site={"domain": "daily.example"}) | {"user": {"id": VIEWER}} | changes
        async with self.api.http.post("/openrtb2/auction", json=request) as response:
            assert response.status in {200, 204}, await response.text()
            answer = msgspec.json.decode(await response.read() or b"{}")
        ads = [bid["crid"] for seat in answer.get("seatbid", []) for bid in seat["bid"]]
        return response.headers["Gavel-Auction"], ads[0] if ads else None

    async def comes_to_be_shown(self, ad: str | None) -> str:
        """The auction that it was shown in at last; None: nothing was."""
        held: list[str] = []

        async def is_shown() -> bool:
            auction_id, shown = await self.hold()
            held.append(auction_id)
            return shown == ad

        await until(is_shown, seconds=30)
        return held[-1]

    async def story_of_one_in_time(self, **changes: Any) -> dict[str, Any]:
        """Of an auction that nothing is shown in, and that had the time to look its viewer up on a busy machine."""
        while True:
            auction_id, ad = await self.hold(**changes)
            assert ad is None
            story = await self.story(auction_id)
            if story["segments"] != "unavailable":
                return story

    async def story(self, auction_id: str) -> dict[str, Any]:
        """As the operator reads it, once it is there."""
        stories: list[dict[str, Any]] = []

        async def is_told() -> bool:
            answer = await ask(self.api, "GET", f"/v1/auctions/{auction_id}")
            if answer.status == 200 and (answer.body["imps"][0].get("award") or answer.body["imps"][0]["outcomes"]):
                stories.append(answer.body)
            return bool(stories)

        await until(is_told, seconds=30)
        return stories[0]

    def _head(self) -> dict[str, Any]:
        return {
            "id": secrets.token_hex(8),
            "at": datetime.now(UTC),
            "correlation_id": self.client["id"],
            "causation_id": "",
            "client": self.client["id"],
        }

    async def _log(self, event: FeedRecordAdded | FeedRecordDeleted) -> None:
        await self.api.services.log.append(Names(self.settings.namespace).feeds_changes, self.client["id"], [event])


@pytest.fixture
async def audience(empty_api: RunningApi, settings: Settings) -> AsyncIterator[Audience]:
    """Of which nobody is known to be in it yet."""
    client = await registered(empty_api, "feed-clients", {"name": f"data {secrets.token_hex(4)}"})
    publisher = await registered(empty_api, "publishers", {"name": "D", "domain": "daily.example", "share_bps": 8_000})
    terms = {"publisher_id": publisher["id"], "name": "Top", "sizes": [[300, 250]], "floor_cpm": "90.00"}
    placement = await registered(empty_api, "placements", terms)
    advertiser = await registered(empty_api, "advertisers", {"name": "Shop", "domain": "shop.example"})
    audience = Audience(empty_api, settings, client, placement["id"], "", "")
    terms = {"advertiser_id": advertiser["id"], "name": "Drivers", "bid_cpm": "95.00", "budget": "100.00"}
    terms |= {"pacing": "asap", "targeting": audience.targeting}
    campaign = await registered(empty_api, "campaigns", terms)
    looks = {"width": 300, "height": 250, "image_url": "https://cdn.shop.example/a.png"}
    looks |= {"landing_url": "https://shop.example/"}
    ad = await registered(empty_api, "ads", {"campaign_id": campaign["id"], "name": "Tyres", **looks})
    yield audience._replace(campaign=campaign["id"], ad=ad["id"])
    assert (await ask(empty_api, "POST", f"/v1/campaigns/{campaign['id']}/archive")).status == 200


async def test_a_change_counts_in_the_next_auctions(audience: Audience) -> None:
    """Once a record puts the viewer into the segment the campaign bids, and no more once the record is gone.

    It does within a second, where the machine has nothing else to do: the fastest of several changes is looked at.
    """
    took_seconds = []
    for change in (["boats", SEGMENT], ["boats"], [SEGMENT], None):
        if change is None:
            await audience.delete()
        else:
            await audience.put(*change)
        logged_at = monotonic()
        await audience.comes_to_be_shown(audience.ad if change and SEGMENT in change else None)
        took_seconds.append(monotonic() - logged_at)
    # The first one also waits for the campaign to be known.
    assert min(took_seconds[1:]) < SEEN_WITHIN_SECONDS


async def test_the_story_says_by_which_segment_a_campaign_came_to_bid(audience: Audience) -> None:
    """And of an auction without its bid, why nobody was found; neither tells the viewer's other segments."""
    await audience.put("a-segment-of-nobodys-business", SEGMENT)
    auction_id = await audience.comes_to_be_shown(audience.ad)
    story = await audience.story(auction_id)
    [direct] = [each for each in story["imps"][0]["outcomes"] if each["bidder_id"] == "direct"]
    name = audience.client["name"]
    assert (story["segments"], direct["segments"]) == ("found", [{"client": name, "segment": SEGMENT}])
    told = msgspec.json.encode(story["told"]).decode()
    assert f"because the viewer is in '{SEGMENT}' of '{name}'" in told
    assert "nobodys-business" not in msgspec.json.encode(story).decode()
    again = replay(
        await deciding_events(str(audience.settings.kafka_url), Names(audience.settings.namespace), auction_id)
    )
    assert again.differences == ()
    for changes, why, sentence in (
        ({"user": {}}, "nobody", "the request has no id that the viewer could be looked up by"),
        ({"regs": {"coppa": 1}}, "restricted", "the viewer may not be looked up"),
        ({"user": {"id": "somebody else"}}, "none", "in none of the segments that campaigns are for"),
    ):
        story = await audience.story_of_one_in_time(**changes)
        assert story["segments"] == why
        assert sentence in msgspec.json.encode(story["told"]).decode()


async def test_a_page_says_who_its_viewer_is(audience: Audience) -> None:
    """`GET /ad` with the viewer's id finds the campaign; a browser that does not want to be tracked is shown none."""
    await audience.put(SEGMENT)
    await audience.comes_to_be_shown(audience.ad)
    asked = {"placement": audience.placement, "user": VIEWER}

    async def is_shown() -> bool:
        async with audience.api.http.get("/ad", params=asked, headers=BROWSER) as response:
            return response.status == 200

    await until(is_shown)
    async with audience.api.http.get("/ad", params=asked, headers=BROWSER | {"Sec-GPC": "1"}) as response:
        assert response.status == 204


async def test_what_redis_is_asked_for_is_written_nowhere(audience: Audience) -> None:
    """A test auction, for which anybody may ask, does not tell which segment its viewer was found in."""
    await audience.put(SEGMENT)
    await audience.comes_to_be_shown(audience.ad)
    imp = {"id": "1", "tagid": audience.placement, "banner": {"format": [{"w": 300, "h": 250}]}}
    request = bid_request(test=1, imp=[imp], site={"domain": "daily.example"}, user={"id": VIEWER})

    async def is_told() -> bool:
        async with audience.api.http.post("/openrtb2/auction", json=request) as response:
            text = await response.text()
        assert SEGMENT not in text
        return audience.ad in text

    await until(is_told)


async def test_a_campaign_names_a_feed_client_that_there_is(audience: Audience) -> None:
    """A new campaign and a changed one; the client is named as the campaign names it."""
    for where, name in (("nobody", "nobody"), (audience.client["name"], None)):
        targeting = {"segments": [{"client": where, "segment": "s"}]}
        answer = await ask(audience.api, "PATCH", f"/v1/campaigns/{audience.campaign}", {"targeting": targeting})
        if name is None:
            assert answer.status == 200, answer.body
        else:
            assert answer.faults == {"targeting.segments[0].client": "there is no feed client 'nobody'"}
