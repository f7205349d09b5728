"""The keys that feed clients' records are sealed with: where they are kept, how they rotate, how they are erased.

Each client has data keys of its own, the first made when the first record comes. They stand in a file, wrapped by the
installation's wrapping key, which stands in another file or in a setting: whoever has one of both has nothing. None is
ever in the log, so whatever is sealed in there for a client is unreadable from the moment that its keys are destroyed.
A client whose keys were destroyed never gets another one.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Final, NamedTuple

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from domain.errors import Fault, InvalidInput, NotPossible, Unavailable
from domain.feeds.sealing import DATA_KEY_BYTES, NONCE_BYTES, DataKey, Unreadable, unwrap, wrap
from gavel.errors import CannotRun, explained
from gavel.key_file import FileStamp, KeyFile, follow, fresh_key, stamp_of
from gavel.secret_file import write_secret
from gavel.settings import Settings, variable

WRAPPING_SECRET_MIN_BYTES: Final = 32
KEY_ID_BYTES: Final = 4
NO_FILE: Final[FileStamp] = (0, 0, 0)


class WrappedKey(msgspec.Struct, frozen=True):
    """A data key as the file has it."""

    id: str
    since: datetime
    wrapped: bytes


class FeedKeys(msgspec.Struct, frozen=True):
    """What the file holds."""

    clients: Mapping[str, tuple[WrappedKey, ...]] = msgspec.field(default_factory=dict)
    """By the client's id, the newest key first."""
    erased: Mapping[str, datetime] = msgspec.field(default_factory=dict)
    """Clients whose keys are destroyed, and since when."""


class Erased(NamedTuple):
    """What an erasure has done."""

    at: datetime
    """Of the first one, where it is not the first."""
    keys: int
    """How many were destroyed."""


class WrappingKeyFile(KeyFile):
    """The file of the installation's wrapping key."""

    holds: ClassVar[str] = "the wrapping key of feeds"
    made_by: ClassVar[str] = "the first record of a feed"
    setting: ClassVar[str] = "feed_key"


class FeedKeyFile:
    """The data keys of one installation. Writers of several processes take turns; readers never wait."""

    holds: ClassVar[str] = "feed keys"

    def __init__(
        self, path: Path, wrapping_keys: Callable[[], Sequence[bytes]], kept: WrappingKeyFile | None = None
    ) -> None:
        """`wrapping_keys` are asked for when a key is wrapped or unwrapped, and not before; it may raise CannotRun.

        The first one wraps, and all unwrap. They stand in the file `kept`, unless a setting holds them.
        """
        self.path = path
        self._wrapping_keys = wrapping_keys
        self._kept = kept

    @classmethod
    def of(cls, settings: Settings) -> FeedKeyFile:
        """Where the settings say. Raises InvalidInput for a wrapping key in them that is none."""
        path = settings.data / settings.feed_keys_file
        if settings.feed_key is not None:
            set_ = {"feed_key": settings.feed_key, "feed_key_previous": settings.feed_key_previous}
            keys = [_derived(_secret(name, text)) for name, text in set_.items() if text is not None]
            return cls(path, lambda: keys)
        wrapping = WrappingKeyFile.of(settings)
        return cls(path, lambda: _kept(wrapping, path), wrapping)

    def read(self) -> FeedKeys:
        """Nothing where no client has had a key. Raises CannotRun for a file that cannot be read."""
        with explained(self.path, f"read {self.holds} from"):
            content = self.path.read_bytes() if self.path.exists() else b"{}"
        try:
            return msgspec.json.decode(content, type=FeedKeys)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CannotRun(f"{self.path} does not hold {self.holds}: {error}") from error

    def stamp(self) -> FileStamp:
        """Another one for every other content, no file included. Raises CannotRun where nobody can look."""
        return stamp_of(self.path) if self.path.exists() else NO_FILE

    def opened(self, client: str, key: WrappedKey) -> DataKey:
        """Raises CannotRun where another wrapping key would be needed."""
        for wrapping_key in self._wrapping_keys():
            with suppress(Unreadable):
                return unwrap(key.id, key.wrapped, wrapping_key=wrapping_key, client=client)
        advice = f"bring back the wrapping key that was there when it was written ({variable('feed_key')})"
        raise CannotRun(f"{self.path} is damaged, or was written under another wrapping key: {advice}")

    def check_wrapping_key(self, held: FeedKeys) -> None:
        """Raises CannotRun where what the file holds was written under another wrapping key than the one that is set.

        A file that its readers can read in parts only helps nobody.
        """
        for client, keys in held.clients.items():
            self.opened(client, keys[0])
            return

    def ensure_key(self, client: str, now: datetime) -> None:
        """Makes the client's first key, unless there is one or the client is erased. Raises CannotRun."""
        with self._alone() as held:
            if client not in held.clients and client not in held.erased:
                self._add_key(held, client, now)

    def rotate(self, client: str, now: datetime) -> WrappedKey:
        """Adds a fresh key, in force at once; what older ones have sealed still opens.

        Raises NotPossible for a client that is erased, CannotRun.
        """
        with self._alone() as held:
            _refuse_erased(client, held)
            return self._add_key(held, client, now)

    def erase(self, client: str, now: datetime) -> Erased:
        """Destroys all keys of the client, for good; done again it changes nothing. Raises CannotRun."""
        with self._alone() as held:
            if client in held.erased:
                return Erased(held.erased[client], 0)
            others = {each: keys for each, keys in held.clients.items() if each != client}
            at = now.replace(microsecond=0)
            write_secret(self.path, FeedKeys(others, {**held.erased, client: at}))
            return Erased(at, len(held.clients.get(client, ())))

    def rotate_wrapping_key(self, now: datetime) -> int:
        """Wraps every data key anew, under a fresh key or the one that is set by now; how many there are.

        No record is touched. It can be interrupted at any point, and run again: what is wrapped under either key opens
        until the older one goes, which is last. Raises CannotRun, then with nothing lost.
        """
        with self._alone() as held:
            self.check_wrapping_key(held)
            if self._kept is not None:
                _kept(self._kept, self.path)
                fresh = fresh_key(now.replace(microsecond=0))
                self._kept.write((fresh, *self._kept.read()))
            anew = {
                client: tuple(self._wrapped(self.opened(client, key), client, key.since) for key in keys)
                for client, keys in held.clients.items()
            }
            if held != FeedKeys():
                write_secret(self.path, FeedKeys(anew, held.erased))
            if self._kept is not None:
                self._kept.write((fresh,))
            return sum(map(len, anew.values()))

    def _wrapped(self, key: DataKey, client: str, since: datetime) -> WrappedKey:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return WrappedKey(key.id, since, wrap(key, wrapping_key=self._wrapping_keys()[0], nonce=nonce, client=client))

    def _add_key(self, held: FeedKeys, client: str, now: datetime) -> WrappedKey:
        self.check_wrapping_key(held)
        keys = held.clients.get(client, ())
        used = {each.id for each in keys}
        key_id = next(each for each in iter(lambda: secrets.token_hex(KEY_ID_BYTES), None) if each not in used)
        fresh = DataKey(key_id, secrets.token_bytes(DATA_KEY_BYTES))
        new = self._wrapped(fresh, client, now.replace(microsecond=0))
        write_secret(self.path, FeedKeys({**held.clients, client: (new, *keys)}, held.erased))
        return new

    @contextmanager
    def _alone(self) -> Iterator[FeedKeys]:
        """What the file holds, which nobody else changes meanwhile."""
        lock = self.path.with_suffix(".lock")
        with explained(lock, "lock"):
            lock.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            # The file itself is replaced whenever it is written: a lock on it would be one on a file that is gone.
            with explained(lock, "lock"):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield self.read()
        finally:
            os.close(descriptor)


class FeedKeysInForce:
    """The keys of a running process, which follows the file."""

    def __init__(self, file: FeedKeyFile) -> None:
        """Raises CannotRun for a file that cannot be read, or not with the wrapping key that is set."""
        self._file = file
        self._stamp: FileStamp | None = None
        self._opened: dict[tuple[str, str], DataKey] = {}
        self._held = file.read()
        file.check_wrapping_key(self._held)

    def __repr__(self) -> str:
        return f"FeedKeysInForce(clients={len(self._held.clients)}, erased={len(self._held.erased)})"

    async def sealing(self, client: str) -> DataKey:
        """The key that seals the client's values now; the first time it is made. Ask again for every few records.

        Raises NotPossible for a client that is erased, Unavailable where no key can be made.
        """
        return await self._own(client, 0)

    async def first(self, client: str) -> DataKey:
        """The client's oldest key, which stays the same until the client is erased. Raises as `sealing`."""
        return await self._own(client, -1)

    def opening(self, client: str, key_id: str) -> DataKey | None:
        """The client's key of that name; None where it is destroyed, or none of this installation's.

        Raises Unavailable where it cannot be unwrapped.
        """
        try:
            key = self._wrapped(client, key_id)
            if key is None and client not in self._held.erased:
                self._read_again()
                key = self._wrapped(client, key_id)
            return None if key is None else self._open(client, key)
        except CannotRun as error:
            raise Unavailable(f"Nothing can be unsealed: {error}") from error

    async def follow(self) -> None:
        """Takes up what other processes and `gavel feeds` write, until it is cancelled."""
        await follow(self._file, self._take)

    async def _own(self, client: str, place: int) -> DataKey:
        """By its place among the client's keys, of which the newest is the first. Raises as `sealing`."""
        try:
            if client not in self._held.clients and client not in self._held.erased:
                self._refuse_lost()
                await asyncio.to_thread(self._file.ensure_key, client, datetime.now(UTC))
                # Read by this very thread: what the other one has seen may be older than what was followed meanwhile.
                self._take(self._file.read())
            _refuse_erased(client, self._held)
            return self._open(client, self._held.clients[client][place])
        except CannotRun as error:
            raise Unavailable(f"Nothing can be sealed: {error}") from error

    def _wrapped(self, client: str, key_id: str) -> WrappedKey | None:
        return next((each for each in self._held.clients.get(client, ()) if each.id == key_id), None)

    def _read_again(self) -> None:
        """Another process may have made the key a moment ago."""
        if (stamp := self._file.stamp()) != self._stamp:
            self._take(self._file.read())
            self._stamp = stamp

    def _open(self, client: str, key: WrappedKey) -> DataKey:
        name = (client, key.id)
        if name not in self._opened:
            try:
                self._opened[name] = self._file.opened(client, key)
            except CannotRun:
                # Its wrapping key may have been rotated a moment ago.
                self._read_again()
                self._opened[name] = self._file.opened(client, self._wrapped(client, key.id) or key)
        return self._opened[name]

    def _refuse_lost(self) -> None:
        """Of a file that is gone the next one would hold nothing: with it the keys at hand would be lost as well."""
        if self._held != FeedKeys() and not self._file.path.exists():
            raise CannotRun(f"{self._file.path} is gone: bring it back, or what it has sealed is lost")

    def _take(self, held: FeedKeys) -> None:
        if held == FeedKeys():
            return  # a file never comes to that: it is gone, and the keys at hand still serve
        self._held = held
        kept = {(client, key.id) for client, keys in held.clients.items() for key in keys}
        self._opened = {name: key for name, key in self._opened.items() if name in kept}


def _refuse_erased(client: str, held: FeedKeys) -> None:
    if client in held.erased:
        raise NotPossible(f"The feed client {client!r} is erased: it gets no key any more. Register another one.")


def _kept(wrapping: WrappingKeyFile, data_keys: Path) -> Sequence[bytes]:
    """The wrapping keys out of their file, which is made unless keys are there that need another one."""
    if not data_keys.exists():
        wrapping.ensure()
    return [_derived(each.secret) for each in wrapping.read()]


def _secret(name: str, text: str) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        raise InvalidInput([Fault(variable(name), "is not hexadecimal")]) from None
    if len(value) < WRAPPING_SECRET_MIN_BYTES:
        what = f"is not {WRAPPING_SECRET_MIN_BYTES} bytes or more in hex"
        raise InvalidInput([Fault(variable(name), what)])
    return value


def _derived(secret: bytes) -> bytes:
    """A key for AES-256 out of a secret of any length, which serves for nothing else (RFC 5869)."""
    return HKDF(SHA256(), DATA_KEY_BYTES, salt=None, info=b"gavel feed wrapping key 1").derive(secret)
