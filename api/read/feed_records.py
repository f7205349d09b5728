"""`/v1/feeds/{client}/records`: what stands under a feed client's keys, opened here and nowhere before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote_to_bytes

import msgspec
import structlog
from litestar import Request, Response, get, post
from litestar.params import FromPath

from api.access import tenant_of
from api.feed_completeness import Stale, marked
from api.feed_names import own_feed
from api.json_body import json_body
from api.problems import ProblemRaised
from api.read.waiting import wait_as_asked
from api.services import ApiServices, Services
from domain.errors import Fault, InvalidInput
from domain.feeds.records import key_fault
from domain.feeds.sealing import Unreadable
from domain.limits import FEED_LOOK_UP_KEYS_MAX
from domain.openrtb.faults import decoder_fault
from projections.feed_value import StoredRecord
from projections.registry import FEEDS

Keys = Annotated[list[str], msgspec.Meta(min_length=1, max_length=FEED_LOOK_UP_KEYS_MAX)]


class RecordShown(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A record as it was sent."""

    key: str
    value: dict[str, Any] | msgspec.Raw
    expires_at: datetime | None = None
    """From then on nobody finds it."""


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Records that are looked up at once."""

    keys: Keys


class RecordsShown(msgspec.Struct, frozen=True, omit_defaults=True):
    """Those that are there, in the order of the keys, and the keys of the others."""

    records: list[RecordShown]
    missing: list[str]
    unreadable: list[str] = []
    """Where something stands that does not open, if there is such a key."""


_log = structlog.get_logger(__name__)
_wanted = msgspec.json.Decoder(Wanted).decode


@get(
    "/feeds/{client:str}/records/{key:path}",
    tags=["Feeds"],
    operation_id="ShowFeedRecord",
    summary="The record under a key",
)
async def show_feed_record(
    request: Request[Any, Any, Any],
    services: Services,
    client: FromPath[str],
    key: FromPath[Path],
    stale: Stale = False,
) -> Response[RecordShown]:
    """The key stands percent-encoded in the address, whatever it has in it. What has expired is not found."""
    del key  # the framework has tidied it, as if it were a path
    owner = own_feed(client, tenant_of(request))
    asked = _key_of(request)
    headers = await wait_as_asked(FEEDS, request, services)
    [record], mark = await _look_up(services, owner, [asked], stale=stale)
    if isinstance(record, Unreadable):
        why = f"The record {asked!r} of the feed client {client!r} does not open: send it again."
        raise ProblemRaised("unreadable", why, headers=mark)
    if record is None:
        await services.feed_senders.check_known(client)
        raise ProblemRaised("not-found", f"The feed client {client!r} has no record {asked!r}.", headers=mark)
    return Response(record, headers=headers | mark)


@post(
    "/feeds/{client:str}/records",
    tags=["Feeds"],
    operation_id="ShowFeedRecords",
    summary="The records under many keys",
    status_code=200,
)
async def show_feed_records(
    request: Request[Any, Any, Any], services: Services, client: FromPath[str], stale: Stale = False
) -> Response[RecordsShown]:
    """`{"keys": […]}`, a hundred at most: all of them as they stood at one moment."""
    owner = own_feed(client, tenant_of(request))
    keys = _keys_of(await json_body(request))
    headers = await wait_as_asked(FEEDS, request, services)
    found, mark = await _look_up(services, owner, keys, stale=stale)
    records = [each for each in found if isinstance(each, RecordShown)]
    if not records:
        await services.feed_senders.check_known(client)
    missing = [key for key, each in zip(keys, found, strict=True) if each is None]
    unreadable = [key for key, each in zip(keys, found, strict=True) if isinstance(each, Unreadable)]
    return Response(RecordsShown(records, missing, unreadable), headers=headers | mark)


async def _look_up(
    services: ApiServices, client: str, keys: Sequence[str], *, stale: bool
) -> tuple[list[RecordShown | Unreadable | None], dict[str, str]]:
    """With headers that say whether they are all. Raises ProblemRaised (503) as `marked` does, Unavailable."""
    found = await services.feed_records.found(client, keys, now=datetime.now(UTC))
    mark = await marked(services.feed_completeness, client, found.positions, stale=stale)
    records = [
        None if record is None else _opened(services, client, key, record)
        for key, record in zip(keys, found.records, strict=True)
    ]
    return records, mark


def _opened(
    services: ApiServices, client: str, key: str, record: StoredRecord | Unreadable
) -> RecordShown | Unreadable | None:
    """None where its data key is destroyed: the client is erased, and the cache will follow.

    What does not open costs the other keys nothing; only its own is told.
    """
    try:
        if isinstance(record, Unreadable):
            raise record
        data_key = services.feed_data_key(client, record.key_id)
        if data_key is None:
            return None
        value = data_key.unseal(record.ciphertext, client=client, topic=record.letter, key=key)
    except Unreadable as error:
        _log.error("a feed record does not open", client_id=client, why=str(error))
        return error
    expires_at = datetime.fromtimestamp(record.expires_ms / 1000, UTC) if record.expires_ms else None
    return RecordShown(key=key, value=msgspec.Raw(value), expires_at=expires_at)


def _key_of(request: Request[Any, Any, Any]) -> str:
    """As it was sent. Raises InvalidInput; ProblemRaised where the address has no key in its place."""
    raw_path: bytes = request.scope["raw_path"]
    # Whoever routes reads it decoded and tidied, and takes some other addresses for /v1/feeds/{client}/records/{key}.
    match raw_path.partition(b"?")[0].split(b"/", 5):
        case [b"", b"v1", b"feeds", _, b"records", sent]:
            pass
        case _:
            raise ProblemRaised("not-found", "A record's address is /v1/feeds/{client}/records/{key}.")
    try:
        key = unquote_to_bytes(sent).decode()
    except UnicodeDecodeError:
        raise InvalidInput([Fault("key", "is not UTF-8")]) from None
    if fault := key_fault(key):
        raise InvalidInput([Fault("key", str(fault))])
    return key


def _keys_of(body: bytes) -> list[str]:
    try:
        keys = _wanted(body).keys
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput([decoder_fault(error)]) from error
    faults = [Fault(f"keys[{at}]", str(fault)) for at, key in enumerate(keys) if (fault := key_fault(key))]
    if faults:
        raise InvalidInput(faults)
    return keys
