"""What a durable impression costs: answered when all replicas have it, beside the same pixel of two usual stacks."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import UTC, datetime
from ipaddress import IPv4Address

from uuid_utils import uuid7

from bench.cost import Comparison, Contender, Cost, Target, take_turns
from bench.express_peer import NoExpressPeer, express_api, install
from bench.gavel_api import GavelApi, gavel_api
from bench.http_load import LoadPlan, cost_under
from bench.installation import Installation, peer_api
from bench.process import Process
from bench.report import Section
from bench.size import Size
from domain.limits import IMPRESSION_EXPIRY_SECONDS
from domain.tokens import EngagementClaims, TokenKey, expires_at, sign
from gavel.settings import Settings

CONNECTIONS = 64
FLUSH_MS = 5
LITESTAR = "Litestar handler, one aiokafka send each"
EXPRESS = "Express + kafkajs, one send each"
EXPRESS_BATCHED = f"Express + kafkajs, one send per {FLUSH_MS} ms"
LITESTAR_TARGET = Target("≥", 1)
FIRST_VIEWER = IPv4Address("198.18.0.0")
VIEWERS = 2**17
"""Addresses of the range that is set apart for benchmarks."""
TARGETS = {EXPRESS: Target("≥", 4), EXPRESS_BATCHED: Target("≥", 2.5)}
BROWSER = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
)


async def measure(installation: Installation, size: Size) -> Section:
    """All forms run from the beginning; the load goes to one after the other in turn."""
    notes = []
    async with AsyncExitStack() as stack:
        gavel = await stack.enter_async_context(gavel_api(installation, "bench-impressions"))
        plain = await stack.enter_async_context(
            peer_api(installation, "bench.peers.plain_impression", topic="plain-impressions")
        )
        peers = {LITESTAR: plain}
        try:
            folder = await install(Settings())
        except NoExpressPeer as reason:
            notes.append(f"Express + kafkajs was not measured: {reason}.")
        else:
            for name, topic, flush_ms in ((EXPRESS, "express", 0), (EXPRESS_BATCHED, "express-batched", FLUSH_MS)):
                api = express_api(folder, installation, topic=topic, flush_ms=flush_ms)
                peers[name] = await stack.enter_async_context(api)
        apis = {"gavel": (gavel.process, gavel.port)} | peers
        pixels = Pixels(installation.token_key)
        rounds = await take_turns(
            {name: _fire(pixels, *api, count=size.impressions) for name, api in apis.items()}, rounds=size.rounds
        )
        await _check_all_counted(installation, gavel, size.impressions * (size.rounds + 1))
    return Section(
        title="A durable impression",
        method=(
            f"{size.rounds} rounds of {size.impressions:,} impressions each over {CONNECTIONS} connections that ask "
            "again at once, one process each, every answer after the acknowledgement of all replicas.\n"
            "Each request has a token of its own, signed as an award signs it, and an address of its own.\n"
            "Gavel also checks signature, expiry, robots, rate and duplicates, which the peers leave out.\n"
            "It was checked that every one of Gavel's is in the topic with the verdict `valid`."
        ),
        comparisons=[
            Comparison(
                what="impressions a second and core",
                unit="impression",
                subject="GET /impression",
                peer=name,
                subject_rounds=rounds["gavel"],
                peer_rounds=rounds[name],
                ratio_of="rates",
                target=TARGETS.get(name, LITESTAR_TARGET),
            )
            for name in peers
        ],
        notes=notes,
    )


class Pixels:
    """Requests of pixels that were never fired before, as viewers' browsers send them through a proxy."""

    def __init__(self, key: TokenKey) -> None:
        self._key = key
        self._fired = 0

    def __repr__(self) -> str:
        return f"Pixels({self._fired} fired)"

    def fresh(self, count: int) -> list[bytes]:
        awarded_at = datetime.now(UTC)
        numbers = range(self._fired, self._fired + count)
        self._fired += count
        return [self._request(number, awarded_at) for number in numbers]

    def _request(self, number: int, awarded_at: datetime) -> bytes:
        auction_id = str(uuid7())
        claims = EngagementClaims(
            kind="impression",
            auction_id=auction_id,
            imp_id="1",
            bidder_id="bench-1",
            bid_id=f"{auction_id}-1",
            price_micros=2_400_000,
            clearing_price_micros=1_860_000,
            revenue_micros=1_488_000,
            currency="USD",
            awarded_at=awarded_at,
            expires_at=expires_at(awarded_at, IMPRESSION_EXPIRY_SECONDS),
            publisher_id="pub-news.example",
            site="news.example",
            country="DEU",
            device_type=2,
            seat="seat-1",
        )
        viewer = FIRST_VIEWER + number % VIEWERS
        return (
            f"GET /impression?t={sign(claims, self._key)} HTTP/1.1\r\nHost: exchange.example\r\n"
            f"User-Agent: {BROWSER}\r\nAccept: image/*\r\nX-Forwarded-For: {viewer}\r\n\r\n"
        ).encode()


def _fire(pixels: Pixels, process: Process, port: int, *, count: int) -> Contender:
    async def fire() -> Cost:
        plan = LoadPlan(port=port, requests=pixels.fresh(count), count=count, connections=CONNECTIONS)
        return await cost_under(plan, process)

    return fire


async def _check_all_counted(installation: Installation, gavel: GavelApi, fired: int) -> None:
    """Raises ProcessFailed unless the topic holds exactly so many impressions and each counts."""
    topic = gavel.names.engagements
    valid = sum([b'"verdict":"valid"' in value async for value in installation.values(topic)])
    if not fired == valid == await installation.logged(topic):
        raise gavel.process.failure(f"answered {fired} impressions, but {valid} are logged as valid")
