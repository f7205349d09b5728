"""Whether everything that an exchange depends on is there and as it should be, and what to do where it is not."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import asyncpg
import msgspec
from alembic.script import ScriptDirectory
from redis.asyncio import Redis
from redis.exceptions import RedisError

from domain.errors import GavelError, InvalidInput
from domain.limits import FEED_MEMORY_MAX_PERCENT
from domain.names import Names
from domain.redis_url import parse_redis_url
from gavel.embedded.folder import FREE_BYTES_MIN
from gavel.errors import CannotRun
from gavel.feed_keys import FeedKeyFile
from gavel.pseudonym_keys import PseudonymKeyFile
from gavel.readiness import status_of_api
from gavel.settings import Settings, variable
from gavel.token_keys import TokenKeyFile, still_believed
from gavel.topics import describe_brokers, describe_topics
from gavel.traffic_list_files import TrafficListFiles
from projections.migrate import PLACES
from projections.redis_client import Cluster

ANSWER_SECONDS = 10.0
CLOCK_SKEW_MAX_SECONDS = 1.0
"""Tokens expire and reports are cut by the hour: more than that is seen by people."""
NOTICES_WAITING = """
SELECT count(*), coalesce(extract(epoch FROM now() - min(due_at)), 0)::float8 FROM notices WHERE due_at IS NOT NULL
"""
NOTICES_LATE_SECONDS = 60
"""What was due so long ago, nobody works on."""
OLDEST_POSTGRES = 15
OLDEST_REDIS = 7
LOCKS_NEEDED = """
SELECT current_setting('max_locks_per_transaction')::int,
    current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int,
    coalesce(max(relations), 0)
FROM (
    SELECT count(*) AS relations FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname ~ '_g[0-9]+$' AND relkind IN ('r', 'p', 'i', 'I') GROUP BY nspname
) AS generations
"""
"""The largest generation's tables and indexes: a comparison holds a lock on each of two such."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    name: str
    ok: bool
    found: str
    """What is the case."""
    advice: str | None = None
    """What to do about it."""
    latency_ms: float | None = None


class Trouble(Exception):
    """Something is not as it should be: what, and what to do."""

    def __init__(self, found: str, advice: str) -> None:
        super().__init__(found)
        self.found = found
        self.advice = advice


async def check_all(settings: Settings) -> list[Check]:
    """Looks at everything at the same time; takes ten seconds at most."""
    looks: dict[str, Callable[[Settings], Awaitable[str]]] = {
        "data folder": _data_folder,
        "pseudonym key": _pseudonym_key,
        "token key": _token_key,
        "feed keys": _feed_keys,
        "traffic lists": _traffic_lists,
        "kafka": _kafka,
        "topics": _topics,
        "postgres": _postgres,
        "schema": _schema,
        "redis": _redis,
        "notices": _notices,
        "clock": _clock,
        "api": _api,
    }
    return list(await asyncio.gather(*(_check(name, look, settings) for name, look in looks.items())))


async def _check(name: str, look: Callable[[Settings], Awaitable[str]], settings: Settings) -> Check:
    since = time.perf_counter()
    try:
        found = await asyncio.wait_for(look(settings), ANSWER_SECONDS)
    except Trouble as trouble:
        return Check(name=name, ok=False, found=trouble.found, advice=trouble.advice)
    except (GavelError, OSError, RedisError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        advice = "start it, or correct its address; `gavel up` starts what no setting names"
        return Check(name=name, ok=False, found=str(error).split("\n")[0] or type(error).__name__, advice=advice)
    return Check(name=name, ok=True, found=found, latency_ms=round((time.perf_counter() - since) * 1_000, 1))


def _url(settings: Settings, name: str) -> str:
    url: str | None = getattr(settings, name)
    if url is None:
        raise Trouble("no address", f"set {variable(name)}, or start an installation (gavel up)")
    return url


async def _data_folder(settings: Settings) -> str:
    folder = settings.data
    if not folder.exists():
        raise Trouble(
            f"{folder} does not exist", "name another one (--data), or start an installation there (gavel up)"
        )
    if not os.access(folder, os.W_OK):
        raise Trouble(f"{folder} cannot be written", "change its owner, or name another one (--data)")
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES_MIN:
        raise Trouble(f"{free >> 20} MB are free on its disk", f"free at least {FREE_BYTES_MIN >> 20} MB")
    return f"{folder}, {free >> 30} GB free"


async def _pseudonym_key(settings: Settings) -> str:
    if settings.pseudonym_key is not None:
        return f"in {variable('pseudonym_key')}, fixed while a process lives"
    try:
        key, *older = PseudonymKeyFile.of(settings).read()
    except CannotRun as error:
        raise Trouble(str(error), "bring the file back, or make a new key: `gavel privacy rotate`") from error
    kept = f", {len(older)} older kept" if older else ""
    return f"in force since {key.since:%Y-%m-%d %H:%M} UTC{kept}"


async def _token_key(settings: Settings) -> str:
    if settings.token_key is not None:
        return f"in {variable('token_key')}, fixed while a process lives"
    try:
        key, *older = still_believed(TokenKeyFile.of(settings).read(), datetime.now(UTC))
    except CannotRun as error:
        raise Trouble(str(error), "bring the file back, or make a new key: `gavel tokens rotate`") from error
    believed = f", {len(older)} older believed" if older else ""
    return f"signs since {key.since:%Y-%m-%d %H:%M} UTC{believed}"


async def _feed_keys(settings: Settings) -> str:
    try:
        file = FeedKeyFile.of(settings)
        held = file.read()
        file.check_wrapping_key(held)
    except (CannotRun, InvalidInput) as error:
        raise Trouble(
            str(error), "bring the files of keys back from a backup: what they sealed nobody opens"
        ) from error
    where = f"in {variable('feed_key')}" if settings.feed_key is not None else "in a file beside them"
    return f"of {len(held.clients)} feed clients, {len(held.erased)} more are erased; wrapped by a key {where}"


async def _traffic_lists(settings: Settings) -> str:
    try:
        lists = (await asyncio.to_thread(TrafficListFiles, settings))()
    except InvalidInput as error:
        advice = "correct the file: what runs goes on with the lists it has, and what is started refuses to"
        raise Trouble(str(error), advice) from None
    return f"{lists.robots!r} beside the known robots, {lists.browsers!r} of browsers, {lists.data_centres!r}"


async def _kafka(settings: Settings) -> str:
    brokers = await describe_brokers(_url(settings, "kafka_url"))
    return f"{len(brokers)} {'broker' if len(brokers) == 1 else 'brokers'}: {', '.join(brokers)}"


async def _topics(settings: Settings) -> str:
    names = Names(settings.namespace)
    present = await describe_topics(_url(settings, "kafka_url"), names)
    if missing := [name for name in names.topics if name not in present]:
        raise Trouble(f"{', '.join(missing)} missing", "`gavel up` creates them")
    if leaderless := [name for name, topic in present.items() if not topic.has_leaders]:
        raise Trouble(f"{', '.join(leaderless)} without leaders", "start the brokers that hold their partitions")
    if others := [f"{n} has {t.partitions}" for n, t in present.items() if t.partitions != settings.partitions]:
        advice = (
            f"set {variable('partitions')} to what is there: keys must not move to other partitions; "
            "if somebody has added partitions to a topic in use, see docs/PARTITIONS.md"
        )
        raise Trouble(f"{', '.join(others)} partitions instead of {settings.partitions}", advice)
    return f"{len(present)} topics with {settings.partitions} partitions each"


async def _postgres(settings: Settings) -> str:
    version = await _ask(settings, "SHOW server_version")
    if int(version.partition(".")[0]) < OLDEST_POSTGRES:
        raise Trouble(f"Postgres {version}", f"use Postgres {OLDEST_POSTGRES} or newer")
    refuse_too_few_locks(*await _ask_row(settings, LOCKS_NEEDED))
    return f"Postgres {version}"


def refuse_too_few_locks(per_transaction: int, transactions: int, relations: int) -> None:
    """Raises Trouble where the lock table of Postgres has no room for a comparison of two generations.

    It has `per_transaction` places for each of `transactions`; a generation has `relations` tables and indexes.
    """
    if 2 * relations > per_transaction * transactions:
        raise Trouble(
            f"it can hold {per_transaction * transactions:,} locks, and a comparison of two generations takes "
            f"{2 * relations:,}",
            f"set max_locks_per_transaction to {2 * -(-2 * relations // transactions)} and restart it",
        )


async def _schema(settings: Settings) -> str:
    newest = ScriptDirectory(str(next(place for place in PLACES if place.is_dir()))).get_current_head()
    try:
        present = await _ask(settings, "SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        raise Trouble("no tables", "run `gavel migrate`") from None
    if present != newest:
        raise Trouble(f"at revision {present}, this version needs {newest}", "run `gavel migrate`")
    return f"at revision {present}, the newest"


async def _redis(settings: Settings) -> str:
    url = parse_redis_url(_url(settings, "redis_url"))
    if not url.is_cluster:
        info = await _redis_server(url.at(*url.servers[0]))
        if info["cluster_enabled"]:
            raise Trouble("a node of a cluster", "name the cluster: redis+cluster://host:port,host:port")
        return f"{_redis_name(info)}, {memory_told([info], _feed_clients(settings))}"
    masters = await _redis_masters(settings)
    infos = await asyncio.gather(*(_redis_server(url.at(*master)) for master in masters))
    names = sorted({_redis_name(info) for info in infos})
    return f"cluster of {len(masters)} masters, {', '.join(names)}, {memory_told(infos, _feed_clients(settings))}"


def memory_told(infos: Sequence[Mapping[str, Any]], feed_clients: int) -> str:
    """How much memory each Redis uses, by its INFO; raises Trouble where feeds have filled it, or nothing bounds them.

    `feed_clients` have sent records to it.
    """
    used = f"{' + '.join(info['used_memory_human'] for info in infos)} used"
    if not all(info["maxmemory"] for info in infos):
        if not feed_clients:
            return f"{used}, without a bound"
        raise Trouble(
            f"{used}, and nothing bounds what {feed_clients} feed clients may add",
            "set maxmemory below what the machine has, and maxmemory-policy to noeviction: see docs/FEEDS.md",
        )
    percent = max(100 * info["used_memory"] / info["maxmemory"] for info in infos)
    if percent > FEED_MEMORY_MAX_PERCENT:
        advice = "raise maxmemory, or let feed clients delete records: until then nothing else they send is taken"
        raise Trouble(f"{used}, {percent:.0f} % of what it may", advice)
    return f"{used}, {percent:.0f} % of what it may"


def _feed_clients(settings: Settings) -> int:
    """How many have a key, and so records."""
    with suppress(CannotRun, InvalidInput):  # told where the keys are looked at
        return len(FeedKeyFile.of(settings).read().clients)
    return 0


async def _redis_masters(settings: Settings) -> list[tuple[str, int]]:
    """Of a cluster whose every slot is served."""
    client = Cluster(parse_redis_url(_url(settings, "redis_url")), socket_timeout=ANSWER_SECONDS)
    async with client:
        return [(node.host, int(node.port)) for node in client.get_primaries()]


async def _redis_server(address: str) -> dict[str, Any]:
    async with Redis.from_url(address, socket_timeout=ANSWER_SECONDS) as redis:
        info: dict[str, Any] = await redis.info()
        return info


def _redis_name(info: dict[str, Any]) -> str:
    """Raises Trouble for a server that will not do."""
    version = str(info["redis_version"])
    name = f"Redis {version}"
    if info.get("server_name") == "valkey":
        name = f"Valkey {info['valkey_version']} (speaks Redis {version})"
    if int(version.partition(".")[0]) < OLDEST_REDIS:
        raise Trouble(name, f"use Redis {OLDEST_REDIS} or newer")
    if info.get("maxmemory") and info.get("maxmemory_policy") != "noeviction":
        policy = info["maxmemory_policy"]
        raise Trouble(f"{name} evicts keys ({policy})", "set maxmemory-policy to noeviction: caches must be whole")
    return name


async def _notices(settings: Settings) -> str:
    try:
        waiting, late = await _ask_row(settings, NOTICES_WAITING)
    except asyncpg.UndefinedTableError:
        raise Trouble("no outbox", "run `gavel migrate`") from None
    if late > NOTICES_LATE_SECONDS:
        advice = "start a notifier, or one more: `gavel notify`"
        raise Trouble(f"{waiting} notices to bidders wait, the first for {late:.0f} s", advice)
    return f"{waiting} notices to bidders wait for their time"


async def _clock(settings: Settings) -> str:
    before = datetime.now(UTC)
    theirs = datetime.fromisoformat(await _ask(settings, "SELECT clock_timestamp()"))
    after = datetime.now(UTC)
    skew = max((before - theirs).total_seconds(), (theirs - after).total_seconds(), 0.0)
    if skew > CLOCK_SKEW_MAX_SECONDS:
        raise Trouble(f"{skew:.1f} s from the database's clock", "keep both machines' clocks with NTP")
    return "within a second of the database's clock"


async def _api(settings: Settings) -> str:
    status = await status_of_api(settings)
    if status is None:
        raise Trouble(f"nobody answers at {settings.host}:{settings.port}", "start it: `gavel up` or `gavel api`")
    if status != HTTPStatus.OK:
        raise Trouble(f"/readyz says {status}", f"see what {settings.base_url}/readyz says is missing")
    return f"ready at {settings.base_url}"


async def _ask(settings: Settings, query: str) -> str:
    [value] = await _ask_row(settings, query)
    return str(value)


async def _ask_row(settings: Settings, query: str) -> tuple[Any, ...]:
    connection = await asyncpg.connect(_url(settings, "postgres_url"), timeout=ANSWER_SECONDS)
    try:
        row = await connection.fetchrow(query)
        return () if row is None else tuple(row)
    finally:
        await connection.close()
