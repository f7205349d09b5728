"""Nothing that tells who somebody is or where exactly reaches the log, the read models or Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from click.testing import CliRunner
from redis.asyncio import Redis

from domain.names import Names
from domain.privacy import pseudonym
from gavel.cli import cli
from gavel.pseudonym_keys import PseudonymKeyFile
from gavel.settings import Settings
from tests.api.conftest import Auction, bid_request, hold
from tests.api.running_api import RunningApi, free_port, running_api, until
from tests.api.test_engagements import BROWSER
from tests.domain.openrtb.test_outbound import RESTRICTIONS
from tests.domain.test_tcf import ALL_ALLOWED, THREE_PURPOSES

IDS = ("6d92078a-8246-4ba4-ae5b-76104861e7dc", "buyer-7f3c0a55e2", "aa11bb22cc33dd44ee55", "graph-0f9e8d7c6b")
DEVICE_IP, DEVICE_IPV6, VIEWER_IP = "198.51.100.237", "2001:db8:77:88:99:aa:bb:cc", "203.0.113.241"
PLACES = ("47.376812", "8.541693", "zip-8001-x")
SECRETS = (*IDS, DEVICE_IP, DEVICE_IPV6, VIEWER_IP, *PLACES)
CASES: dict[str, dict[str, Any]] = {
    "nothing forbids it": {},
    "consent": {"regs": {"gdpr": 1}, "user": {"consent": ALL_ALLOWED}},
    **{what: changes for what, (changes, _) in RESTRICTIONS.items()},
}


def request_about_somebody(changes: dict[str, Any], site: str) -> dict[str, Any]:
    """A request that holds all of the secrets."""
    geo = {"lat": float(PLACES[0]), "lon": float(PLACES[1]), "zip": PLACES[2], "country": "CHE"}
    device = bid_request()["device"] | {"ifa": IDS[0], "ip": DEVICE_IP, "ipv6": DEVICE_IPV6, "geo": geo}
    eids = [{"source": "graph.example", "uids": [{"id": IDS[3]}]}]
    user = {"id": IDS[2], "buyeruid": IDS[1], "geo": geo, "eids": eids, "ext": {"eids": eids}}
    content = bid_request(device=device, user=user, site={"domain": site})
    return content | {name: {**content.get(name, {}), **value} for name, value in changes.items()}


async def auction_with_a_viewer(api: RunningApi, changes: dict[str, Any], site: str) -> Auction:
    """Sold, seen and clicked."""
    auction = await hold(api, **request_about_somebody(changes, site))
    for url in (auction.impression_url, auction.click_url):
        async with api.http.get(url, headers=BROWSER | {"X-Forwarded-For": VIEWER_IP}, allow_redirects=False) as hit:
            assert hit.status < 400
    return auction


async def test_nobody_s_id_address_or_place_is_kept(api: RunningApi, settings: Settings) -> None:
    """With each restriction and with none: a search of every byte that is stored finds neither, in no spelling."""
    sites = {what: f"privacy-{number}.example" for number, what in enumerate(CASES)}
    auctions = [await auction_with_a_viewer(api, changes, sites[what]) for what, changes in CASES.items()]

    async def is_told() -> bool:
        seen = [await _engagements(api, auction) for auction in auctions]
        return seen == [2] * len(auctions)

    await until(is_told, seconds=30)
    stored = {
        "kafka": await _join(_kafka(settings)),
        "postgres": await _join(_postgres(settings)),
        "redis": await _join(_redis(settings)),
    }
    found = [(where, each) for where, content in stored.items() for each in _spellings() if each in content]
    assert found == []
    # The search does find what is there.
    for content in (stored["kafka"], stored["postgres"]):
        assert all(site.encode() in content for site in sites.values())
        assert pseudonym(bytes.fromhex("22" * 16), IDS[0]).encode() in content
    assert auctions[0].id.encode() in stored["redis"]


@pytest.mark.parametrize("what", RESTRICTIONS)
async def test_the_log_says_why_nobody_was_told(api: RunningApi, settings: Settings, what: str) -> None:
    """The first event of a restricted auction names each reason."""
    changes, reasons = RESTRICTIONS[what]
    auction = await hold(api, **request_about_somebody(changes, "why.example"))
    told = ",".join(f'"{reason}"' for reason in reasons)
    records = [record async for record in _kafka(settings) if auction.id.encode() in record]
    [requested] = [record for record in records if record.startswith(b'{"type":"bid_requested"')]
    assert f'"restricted_by":[{told}]'.encode() in requested
    assert b'"ifa"' not in requested


async def test_the_story_says_what_was_kept_from_bidders(api: RunningApi) -> None:
    """With consent to ids alone, only the exact place: the story does not say that more was hidden."""
    without_precise_places = {"regs": {"gdpr": 1}, "user": {"consent": THREE_PURPOSES}}
    auction = await auction_with_a_viewer(api, without_precise_places, "story.example")

    async def is_told() -> bool:
        return await _engagements(api, auction) > 0

    await until(is_told)
    async with api.http.get(f"/v1/auctions/{auction.id}", headers=api.authorized) as response:
        story = await response.text()
    assert "were told where the person is exactly, because there is no opt-in to precise geolocation" in story
    assert "who the person is" not in story


async def test_the_key_rotates_under_a_running_api(api: RunningApi, settings: Settings, tmp_path: Path) -> None:
    """No restart: soon after `gavel privacy rotate` the same person has another pseudonym, under the new key."""
    of_its_own = msgspec.structs.replace(settings, data=tmp_path, pseudonym_key=None, port=free_port())
    file = PseudonymKeyFile.of(of_its_own)
    file.ensure()
    [old] = file.read()
    async with running_api(of_its_own) as rotated:
        assert await _logged_ifa(settings, await hold_for_somebody(rotated)) == pseudonym(old.secret, IDS[0])
        result = CliRunner().invoke(cli, ["privacy", "rotate", "--data", str(tmp_path)], catch_exceptions=False)
        assert result.exit_code == 0
        [new] = file.read()

        async def has_new_pseudonym() -> bool:
            return await _logged_ifa(settings, await hold_for_somebody(rotated)) == pseudonym(new.secret, IDS[0])

        await until(has_new_pseudonym)


async def hold_for_somebody(api: RunningApi) -> Auction:
    return await hold(api, **request_about_somebody({}, "rotated.example"))


async def _logged_ifa(settings: Settings, auction: Auction) -> str:
    records = [each async for each in _kafka(settings) if each.startswith(b'{"type":"bid_requested"')]
    [event] = [each for each in map(msgspec.json.decode, records) if each["auction_id"] == auction.id]
    ifa: str = event["request"]["device"]["ifa"]
    return ifa


def _spellings() -> list[bytes]:
    """As text, and as Postgres shows bytes."""
    return [spelling for each in SECRETS for spelling in (each.encode(), each.encode().hex().encode())]


async def _engagements(api: RunningApi, auction: Auction) -> int:
    async with api.http.get(f"/v1/auctions/{auction.id}", headers=api.authorized) as response:
        return len((await response.json())["engagements"]) if response.status == 200 else 0


async def _join(pieces: AsyncIterator[bytes]) -> bytes:
    return b"\n".join([piece async for piece in pieces])


async def _kafka(settings: Settings) -> AsyncIterator[bytes]:
    """Every record of every topic that the exchange writes, uncompressed."""
    topics = set(Names(settings.namespace).topics)
    async with AIOKafkaConsumer(bootstrap_servers=settings.kafka_url, enable_auto_commit=False) as consumer:
        metadata = await consumer._client.fetch_all_metadata()
        partitions = [TopicPartition(t, p) for t in topics for p in metadata.partitions_for_topic(t) or ()]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        while [each for each, end in ends.items() if await consumer.position(each) < end]:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    yield record.value or b""
                    yield record.key or b""


async def _postgres(settings: Settings) -> AsyncIterator[bytes]:
    """Every row of every table, as Postgres writes it."""
    connection = await asyncpg.connect(settings.postgres_url)
    try:
        tables = await connection.fetch(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables "
            "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        for table in tables:
            for row in await connection.fetch(f"SELECT t::text AS row FROM {table['name']} AS t"):
                yield row["row"].encode()
    finally:
        await connection.close()


async def _redis(settings: Settings) -> AsyncIterator[bytes]:
    """Every key, and all that stands in it."""
    async with Redis.from_url(settings.redis_url) as redis:
        readers = {
            b"string": redis.get,
            b"hash": redis.hgetall,
            b"set": redis.smembers,
            b"zset": lambda key: redis.zrange(key, 0, -1),
            b"list": lambda key: redis.lrange(key, 0, -1),
        }
        async for key in redis.scan_iter():
            kind = await redis.type(key)
            if kind != b"none":  # it has expired meanwhile
                yield key + repr(await readers[kind](key)).encode()
