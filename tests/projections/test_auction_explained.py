"""`gavel auctions explain`: the story of the read model, as text and as JSON."""

from __future__ import annotations

from pathlib import Path

from gavel.process_clock import fresh_id
from tests.gavel.test_auctions_command import auctions_shell
from tests.projections.conftest import ReadSide
from tests.projections.test_auction_story import NAMES, TOLD, of_every_rule
from tests.projections.traffic import Traffic


async def test_an_auction_is_explained(read_side: ReadSide, kafka_url: str, tmp_path: Path) -> None:
    """The read model's story, a paragraph for the request, each imp and what came after; or the same as JSON."""
    addresses = read_side.addresses
    servers = {"GAVEL_POSTGRES_URL": addresses.postgres_url, "GAVEL_REDIS_URL": addresses.redis_url}
    told = auctions_shell(kafka_url, read_side.names, tmp_path, servers=servers)
    traffic = Traffic(9)
    auction = of_every_rule(traffic)
    await read_side.log.append([traffic.bidder(each, name) for each, name in NAMES.items()])
    await read_side.log.append(auction.events)
    await read_side.run_to_the_end("catalogue", "auction_log")
    lines = (await told("explain", auction.id)).out.splitlines()
    assert [line for line in lines if line and not line.startswith(" ")] == list(TOLD)
    text = " ".join(" ".join(lines).split())
    assert all(sentence in text for title in ("The request", "Imp 1", "Imp 2") for sentence in TOLD[title])
    code, story = await told.json("explain", auction.id)
    assert (code, story["id"], story["told"][1]["title"]) == (0, auction.id, "Imp 1")
    missing = await told("explain", fresh_id())
    assert (missing.code, missing.out) == (1, "")
    assert "in the read model (yet)" in missing.err
