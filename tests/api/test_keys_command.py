"""`gavel keys` beside a running exchange: made, used, listed, revoked."""

from __future__ import annotations

import msgspec

from gavel.settings import Settings, environment_of
from tests.api.running_api import RunningApi, until
from tests.api.tenants import Key, as_holder, seller
from tests.gavel.shell import Shell, Told


async def gavel_keys(settings: Settings, *words: str) -> Told:
    return await Shell("keys", environment_of(settings))(*words)


async def test_the_life_of_a_key(empty_api: RunningApi, settings: Settings) -> None:
    """It works within a moment of its making, is listed without itself, and works no more once it is revoked."""
    one = await seller(empty_api, "Commanded")
    told = await gavel_keys(
        settings, "create", "Reports", "--role", "publisher", "--subject", one.publisher["id"], "--json"
    )
    assert told.code == 0, told.err
    made = msgspec.json.decode(told.out)
    key = Key(made["id"], made["key"])
    await until(lambda: _is_let_in(empty_api, key))
    assert (await as_holder(empty_api, key, "GET", "/v1/whoami")).body["subject_id"] == one.publisher["id"]
    listed = await gavel_keys(settings, "list", "--json")
    assert made["key"] not in listed.out
    assert {
        "id": key.id,
        "name": "Reports",
        "role": "publisher",
        "subject_id": one.publisher["id"],
        "status": "active",
    } in msgspec.json.decode(listed.out)
    assert key.id in (await gavel_keys(settings, "list")).out
    revoked = await gavel_keys(settings, "revoke", key.id)
    assert (revoked.code, revoked.out) == (0, f"The key {key.id} is revoked.\n")
    await until(lambda: _is_refused(empty_api, key))


async def test_mistakes_are_told(settings: Settings) -> None:
    """A key of nobody, or the revocation of what is no key, ends in one line that says what is wrong."""
    wrong = (
        (("create", "K", "--role", "advertiser"), "subject_id: has to be the id of the advertiser"),
        (("create", "K", "--role", "publisher", "--subject", "nobody"), "subject_id: there is no publisher 'nobody'"),
        (("revoke", "nothing"), "There is no access"),
    )
    for words, why in wrong:
        told = await gavel_keys(settings, *words)
        assert told.code == 1
        assert told.err.startswith("gavel: ")
        assert why in told.err
        assert "Traceback" not in told.err


async def _is_let_in(api: RunningApi, key: Key) -> bool:
    return (await as_holder(api, key, "GET", "/v1/whoami")).status == 200


async def _is_refused(api: RunningApi, key: Key) -> bool:
    return (await as_holder(api, key, "GET", "/v1/whoami")).status == 401
