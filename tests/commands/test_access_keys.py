"""Which keys count in this process, whatever happens to the cache that it learns them from."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from commands.access_keys import AccessKeys, fresh_key
from commands.catalogue_view import CatalogueView
from domain.access import digest_of
from domain.catalogue import AccessKey, Status
from domain.entity import Entity
from domain.names import Names
from tests.commands.eventually import eventually

DIGEST = digest_of("gavel_one")


def key(version: int, status: Status = "active", *, key_id: str = "k-1", digest: str = DIGEST) -> Entity:
    terms: Any = AccessKey(name="K", role="publisher", subject_id="p-1", digest=digest)
    return Entity("access_key", key_id, version, status, msgspec.Raw(msgspec.json.encode(terms)))


def test_a_key_is_known_by_its_digest() -> None:
    """An active one has a holder; paused or archived it has none; other digests never."""
    keys = AccessKeys()
    assert keys.holder(DIGEST) is None
    keys.learn([key(1)])
    holder = keys.holder(DIGEST)
    assert holder is not None
    assert (holder.key_id, holder.role, holder.subject_id) == ("k-1", "publisher", "p-1")
    assert keys.holder(digest_of("gavel_two")) is None
    keys.learn([key(2, "paused")])
    assert keys.holder(DIGEST) is None
    keys.learn([key(3)])
    assert keys.holder(DIGEST) is not None
    keys.learn([key(4, "archived")])
    assert keys.holder(DIGEST) is None


def test_a_revoked_key_never_comes_back() -> None:
    """A cache that is filled again from the log shows the key's first version once more: it is not believed."""
    keys = AccessKeys()
    keys.learn([key(1), key(2, "archived")])
    keys.learn([key(1)])
    assert keys.holder(DIGEST) is None


def test_one_that_cannot_be_read_lets_nobody_in() -> None:
    """Of a newer version than this one understands: the key does not count, and others are not touched."""
    keys = AccessKeys()
    keys.learn([key(1), key(1, key_id="k-2", digest=digest_of("gavel_two"))])
    keys.learn([Entity("access_key", "k-1", 2, "active", msgspec.Raw(b'{"role":"emperor"}'))])
    assert keys.holder(DIGEST) is None
    assert keys.holder(digest_of("gavel_two")) is not None


def test_fresh_keys_differ() -> None:
    """Each has 256 bits of chance behind a prefix that people know it by."""
    some = {fresh_key() for _ in range(100)}
    assert len(some) == 100
    assert all(each.startswith("gavel_") and len(each) == 49 for each in some)


@pytest.fixture
def names() -> Names:
    """Keys of its own; no topics are needed here."""
    return Names(f"t{uuid.uuid4().hex[:12]}")


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as redis:
        yield redis


async def test_keys_outlive_a_lost_redis(redis: Redis, names: Names) -> None:
    """Emptied, it is being filled again: the key still counts, and one that was revoked before does not."""
    revoked = key(2, "archived", key_id="k-2", digest=digest_of("gavel_two"))
    for each in (key(1), revoked):
        await redis.hset(names.catalogue_entities, f"access_key:{each.id}", msgspec.json.encode(each))
    view = CatalogueView(redis, names)
    assert not view.access_keys.are_known
    await view.start()
    try:
        assert view.access_keys.are_known
        await redis.delete(names.catalogue_entities)
        again = key(1, key_id="k-2", digest=digest_of("gavel_two"))
        third = key(1, key_id="k-3", digest=digest_of("gavel_three"))
        for each in (again, third):
            await redis.hset(names.catalogue_entities, f"access_key:{each.id}", msgspec.json.encode(each))
        await redis.publish(names.catalogue_channel, msgspec.json.encode(["access_key:k-2", "access_key:k-3"]))
        await eventually(lambda: view.access_keys.holder(digest_of("gavel_three")) is not None)
        assert view.access_keys.holder(DIGEST) is not None
        assert view.access_keys.holder(digest_of("gavel_two")) is None
    finally:
        await view.close()
        await redis.delete(names.catalogue_entities)
