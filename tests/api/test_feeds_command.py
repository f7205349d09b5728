"""`gavel feeds` beside a running exchange: keys are rotated, and a client is erased for good."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from domain import codec
from domain.feed_events import FeedClientErased
from domain.names import Names
from domain.terms.feed_client import feed_client_id
from gavel.feed_keys import FeedKeyFile, FeedKeysInForce
from gavel.settings import Settings, environment_of
from tests.api.running_api import RunningApi
from tests.api.test_catalogue import ask, read_back, registered
from tests.gavel.shell import Shell, Told
from tests.projections.traffic import Log


@pytest.fixture
def folder(settings: Settings, tmp_path: Path) -> Settings:
    """The running exchange's servers, and keys of this test alone."""
    return replace(settings, data=tmp_path)


async def gavel_feeds(settings: Settings, *words: str) -> Told:
    return await Shell("feeds", environment_of(settings))(*words)


async def erasures_logged(settings: Settings, topic: str, client: str) -> int:
    """How many marks of the client's erasure stand in the topic."""
    assert settings.kafka_url is not None
    async with Log(settings.kafka_url, Names(settings.namespace)) as log:
        logged = [codec.decode(each) for each in await log.payloads(topic)]
    return len([each for each in logged if isinstance(each, FeedClientErased) and each.client == client])


async def test_a_rotation_adds_a_key(empty_api: RunningApi, folder: Settings) -> None:
    """The new one is told by its name and seals from then on; the older one still opens."""
    name = f"data-co-{uuid.uuid4()}"
    client = (await registered(empty_api, "feed-clients", {"name": name}))["id"]
    old = await FeedKeysInForce(FeedKeyFile.of(folder)).sealing(client)
    told = await gavel_feeds(folder, "rotate", name)
    assert told.code == 0, told.err
    keys = FeedKeysInForce(FeedKeyFile.of(folder))
    new = await keys.sealing(client)
    assert new != old
    assert keys.opening(client, old.id) == old
    assert new.id in told.out
    assert "still open records: 1" in told.out
    assert all(secret not in told.out for secret in (new.secret.hex(), old.secret.hex()))


async def test_an_erased_client_is_gone(empty_api: RunningApi, folder: Settings) -> None:
    """Its keys are destroyed, it is archived, and the log says so; done again it does no harm."""
    name = f"data-co-{uuid.uuid4()}"
    client = (await registered(empty_api, "feed-clients", {"name": name}))["id"]
    file = FeedKeyFile.of(folder)
    key = await FeedKeysInForce(file).sealing(client)
    file.rotate(client, datetime.now(UTC))
    told = await gavel_feeds(folder, "erase", name, "--yes")
    assert told.code == 0, told.err
    assert "destroyed: 2" in told.out
    assert FeedKeysInForce(file).opening(client, key.id) is None
    assert await erasures_logged(folder, empty_api.services.names.feeds_changes, client) == 1
    archived = await ask(empty_api, "POST", f"/v1/feed-clients/{client}/archive")
    assert (await read_back(empty_api, archived))["version"] == 2, "it was archived before"
    again = await gavel_feeds(folder, "erase", name, "--yes")
    assert (again.code, "destroyed: 0" in again.out) == (0, True)
    refused = await gavel_feeds(folder, "rotate", name)
    assert refused.code == 1
    assert "is erased" in refused.err


async def test_nobody_is_erased_by_mistake(empty_api: RunningApi, folder: Settings) -> None:
    """Without a yes nothing happens; an unknown name ends in one line that says so."""
    name = f"data-co-{uuid.uuid4()}"
    client = (await registered(empty_api, "feed-clients", {"name": name}))["id"]
    key = await FeedKeysInForce(FeedKeyFile.of(folder)).sealing(client)
    assert (await gavel_feeds(folder, "erase", name)).code == 1
    assert FeedKeysInForce(FeedKeyFile.of(folder)).opening(client, key.id) == key
    for words in (("erase", "nobody", "--yes"), ("rotate", "nobody")):
        told = await gavel_feeds(folder, *words)
        assert (told.code, told.err) == (1, "gavel: There is no feed client 'nobody'.\n")
    assert feed_client_id("nobody") not in FeedKeyFile.of(folder).read().clients
