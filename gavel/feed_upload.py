"""A file on its way into a feed, over HTTP: sent again behind what has arrived, until all of it is decided."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote, urlsplit

import aiohttp
import msgspec

from commands.feeds.intake import named_run
from domain.errors import Fault, InvalidInput
from domain.terms.feed_client import feed_client_id
from gavel.errors import CannotRun, explained
from gavel.secret_file import write_secret

CHUNK_BYTES: Final = 256 * 1024
ASK_SECONDS: Final = 0.5
PATIENCE_SECONDS: Final = 600.0
"""So long it is tried again although nothing more of the file arrives."""
RETRY_SECONDS: Final = 2.0
SILENCE_SECONDS: Final = 120.0
"""Of a server that has everything and does not answer."""
TRY_AGAIN: Final = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
DECIDED: Final = frozenset({"published", "failed", "superseded"})
PACKED: Final[Mapping[bytes, str]] = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
"""First bytes of a file, and what it is packed with."""
AVRO_FIRST_BYTES: Final = b"Obj\x01"


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What to load, and where to."""

    file: Path
    client: str
    mode: Literal["merge", "replace"]
    url: str
    """Of the exchange; a path in it goes before those of the API."""
    key: str
    """An access key, the operator's or the client's."""
    notes: Path
    """Folder where it is kept under which name a file is being sent, until it has arrived."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far it is."""

    sent: int
    """Bytes of the file, of this attempt."""
    applied: int
    """Records that can be read, or could once they are published."""
    received: int | None
    """Records that are to be applied; None until all of it is sent."""
    tells: str
    """What is being done, or what is waited for."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What has become of it."""

    run: dict[str, Any]
    """As `GET /v1/feeds/{client}/runs/{id}` tells it."""
    errors: list[dict[str, Any]]
    """Lines that were refused, the first hundred."""


class _Refused(Exception):
    """It makes no sense to try again."""


class _NotNow(Exception):
    """It may be tried again after so many seconds."""

    def __init__(self, why: str, wait_s: float = RETRY_SECONDS) -> None:
        super().__init__(why)
        self.wait_s = wait_s


class FeedUpload:
    """One file. Begun again after an interruption, by anybody with the same `notes`, it goes on where it was."""

    def __init__(self, load: Load, on_progress: Callable[[Progress], None]) -> None:
        self._load = load
        self._on_progress = on_progress
        self._name = ""
        self._sent = 0
        self._applied = 0
        self._received: int | None = None
        self._tells = ""

    def __repr__(self) -> str:
        return f"FeedUpload({self._load.file}, {self._sent} bytes)"

    async def __call__(self) -> Outcome:
        """Returns when it is decided what becomes of it. Raises CannotRun, InvalidInput."""
        load = self._load
        _check_url(load.url)
        with explained(load.file, "read"):
            headers = _headers_of(load.file)
        note = self.note()
        self._name = _kept_name(note)
        path = f"v1/feeds/{quote(load.client, safe='')}"
        run_path = f"{path}/runs/{named_run(feed_client_id(load.client), self._name)}"
        timeout = aiohttp.ClientTimeout(total=None, sock_read=SILENCE_SECONDS, sock_connect=30)
        async with aiohttp.ClientSession(
            f"{load.url.rstrip('/')}/", headers={"Authorization": f"Bearer {load.key}"}, timeout=timeout
        ) as http:
            watching = asyncio.create_task(self._watch(http, run_path))
            try:
                received = await self._patiently("Sending", lambda: self._send(http, path, headers))
                self._received = received["received"]
                run = await self._patiently("Loading", lambda: self._decided(http, run_path))
            except _Refused as error:
                note.unlink(missing_ok=True)
                raise CannotRun(str(error)) from error
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
        note.unlink(missing_ok=True)
        return Outcome(run=run, errors=received["errors"])

    async def _patiently(self, tells: str, attempt: Callable[[], Any]) -> dict[str, Any]:
        """As often as it takes, unless nothing has moved for long."""
        clock = asyncio.get_running_loop().time
        moved, since = (0, 0), clock()
        while True:
            self._tells = tells
            try:
                answer: dict[str, Any] = await attempt()
            except (aiohttp.ClientError, TimeoutError, _NotNow) as error:
                why = str(error) or type(error).__name__
                self._tells = f"Waiting: {why}"
                self._report()
                if (self._applied, self._sent) > moved:
                    moved, since = (self._applied, self._sent), clock()
                if clock() - since > PATIENCE_SECONDS:
                    again = "Run the same command again to go on from where it is."
                    raise CannotRun(f"{self._load.url} does not take it: {why}. {again}") from error
                await asyncio.sleep(error.wait_s if isinstance(error, _NotNow) else RETRY_SECONDS)
            else:
                return answer

    async def _send(self, http: aiohttp.ClientSession, path: str, headers: Mapping[str, str]) -> dict[str, Any]:
        named = {**headers, "Idempotency-Key": self._name}
        query = {"mode": self._load.mode}
        async with http.post(f"{path}/bulk", params=query, headers=named, data=self._chunks()) as response:
            if response.status == HTTPStatus.UNPROCESSABLE_ENTITY:
                again = "Run the same command again to load it as it is now."
                raise _Refused(f"{self._load.file} has changed since its load was begun. {again}")
            return await _understood(response)

    async def _decided(self, http: aiohttp.ClientSession, run_path: str) -> dict[str, Any]:
        while True:
            async with http.get(run_path) as response:
                run = await _understood(response)
            self._tell(run)
            if run["status"] in DECIDED:
                return run
            await asyncio.sleep(ASK_SECONDS)

    async def _watch(self, http: aiohttp.ClientSession, run_path: str) -> None:
        """How much of it is applied, while it is sent."""
        while True:
            await asyncio.sleep(ASK_SECONDS)
            try:
                async with http.get(run_path) as response:
                    self._tell(await _understood(response))
            except (aiohttp.ClientError, TimeoutError, _NotNow, _Refused):
                continue

    def _tell(self, run: Mapping[str, Any]) -> None:
        self._applied = int(run["applied"])
        self._report()

    def _report(self) -> None:
        self._on_progress(Progress(sent=self._sent, applied=self._applied, received=self._received, tells=self._tells))

    async def _chunks(self) -> AsyncIterator[bytes]:
        self._sent = 0
        with self._load.file.open("rb") as file:
            while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                yield chunk
                self._sent += len(chunk)
                self._report()

    def note(self) -> Path:
        """Keeps its name: another one for every other file, also for the same one with another size or age."""
        load = self._load
        stat = load.file.stat()
        about = [str(load.file.resolve()), stat.st_size, stat.st_mtime_ns, load.client, load.mode, load.url]
        return load.notes / f"{hashlib.sha256(msgspec.json.encode(about)).hexdigest()[:32]}.json"


def _check_url(url: str) -> None:
    try:
        address = urlsplit(url)
        is_one = address.scheme in {"http", "https"} and bool(address.hostname) and address.port != 0
        is_one = is_one and not (address.query or address.fragment or address.username)
    except ValueError:
        is_one = False
    if not is_one:
        raise InvalidInput([Fault("url", f"{url!r} is not of the form http://HOST:PORT or http://HOST/PATH")])


def _kept_name(note: Path) -> str:
    """The `Idempotency-Key` of a load that was begun and has not ended, or a fresh one, kept from now on."""
    with explained(note, "keep the name of the load in"):
        if note.exists():
            return msgspec.json.decode(note.read_bytes(), type=dict[str, str])["name"]
        note.parent.mkdir(parents=True, exist_ok=True)
        name = secrets.token_hex(16)
        write_secret(note, {"name": name})
        return name


def _headers_of(file: Path) -> dict[str, str]:
    """What the first bytes say of it; what is inside of a packed one, its name does."""
    with file.open("rb") as opened:
        first = opened.read(4)
    packed = next((name for magic, name in PACKED.items() if first.startswith(magic)), None)
    is_avro = first == AVRO_FIRST_BYTES or (packed is not None and ".avro" in file.suffixes)
    content_type = {"Content-Type": "application/avro" if is_avro else "application/x-ndjson"}
    return content_type if packed is None else {**content_type, "Content-Encoding": packed}


async def _understood(response: aiohttp.ClientResponse) -> dict[str, Any]:
    body = await response.read()
    try:
        answer = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        answer = {}
    if response.ok:
        return answer
    faults = "; ".join(f"{each['path']} {each['message']}".strip() for each in answer.get("errors", []))
    why = f"{response.status}: {faults or answer.get('detail') or answer.get('title') or response.reason}"
    if response.status in TRY_AGAIN:
        wait = response.headers.get("Retry-After", "")
        raise _NotNow(why, float(wait) if wait.isdigit() else RETRY_SECONDS)
    raise _Refused(why)
