"""Files of keys that rotate while processes run: what they hold, how they are read, and who follows them.

A process takes up a change by itself, so that nobody has to restart anything, and a process that starts again does not
come back with a key that is gone.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, ClassVar, Final, Protocol, Self, TypeVar

import msgspec
import structlog

from domain.tokens import SECRET_MAX_BYTES, SECRET_MIN_BYTES
from gavel.errors import CannotRun, explained
from gavel.secret_file import write_secret
from gavel.settings import Settings, variable

KEY_BYTES: Final = 32
FOLLOW_SECONDS: Final = 0.5
"""How long a running process may go on with the file as it was before."""

_Hex = Annotated[str, msgspec.Meta(pattern=rf"^([0-9a-fA-F]{{2}}){{{SECRET_MIN_BYTES},{SECRET_MAX_BYTES}}}\Z")]
FileStamp = tuple[int, int, int]
Content_co = TypeVar("Content_co", covariant=True)

log = structlog.get_logger(__name__)


class Key(msgspec.Struct, frozen=True):
    """One key, and since when it is in force; it ends where the next one begins."""

    key: _Hex
    since: datetime

    @property
    def secret(self) -> bytes:
        return bytes.fromhex(self.key)

    def __repr__(self) -> str:
        return f"Key(since={self.since.isoformat()})"


class _Content(msgspec.Struct, frozen=True):
    keys: Annotated[tuple[Key, ...], msgspec.Meta(min_length=1)]


class Followed(Protocol[Content_co]):
    """A file that processes follow."""

    holds: ClassVar[str]

    def stamp(self) -> FileStamp: ...
    def read(self) -> Content_co: ...


class KeyFile:
    """The file of one installation for one kind of keys."""

    holds: ClassVar[str]
    """What its keys are called, in the plural."""
    made_by: ClassVar[str]
    """The command that makes some."""
    setting: ClassVar[str]
    """The setting that may hold one key itself; `<setting>_file` says where the file is."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Where the settings say. Raises CannotRun where they hold the key itself, so that no file is asked."""
        if getattr(settings, cls.setting) is not None:
            raise CannotRun(
                f"{variable(cls.setting)} holds the key, for as long as a process lives: change it there and restart, "
                f"or take it away, so that {variable(cls.setting + '_file')} counts"
            )
        return cls(settings.data / getattr(settings, cls.setting + "_file"))

    def read(self) -> tuple[Key, ...]:
        """The keys, the newest first. Raises CannotRun when there is no file, or none that can be read."""
        with explained(self.path, f"read {self.holds} (`{self.made_by}` makes some) from"):
            content = self.path.read_bytes()
        try:
            return msgspec.json.decode(content, type=_Content).keys
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CannotRun(f"{self.path} does not hold {self.holds}: {error}") from error

    def stamp(self) -> FileStamp:
        """Another one for every other content. Raises CannotRun when there is no file."""
        return stamp_of(self.path)

    def ensure(self, *, first: str | None = None) -> None:
        """Makes the file, with `first` (hex) or a fresh key, unless there is one. Raises CannotRun."""
        if not self.path.exists():
            since = datetime.now(UTC).replace(microsecond=0)
            self.write((Key(first, since) if first else fresh_key(since),))

    def write(self, keys: tuple[Key, ...]) -> None:
        """Replaces the file as a whole; the newest key stands first. Raises CannotRun."""
        write_secret(self.path, _Content(keys))


def fresh_key(since: datetime) -> Key:
    """A new one that nobody can guess."""
    return Key(secrets.token_hex(KEY_BYTES), since)


def stamp_of(path: Path) -> FileStamp:
    """Another one whenever the file was replaced. Raises CannotRun when there is none."""
    with explained(path, "look at"):
        status = path.stat()
    return (status.st_ino, status.st_mtime_ns, status.st_size)


async def follow(file: Followed[Content_co], take: Callable[[Content_co], None]) -> None:
    """Hands on what the file holds whenever that changes, until it is cancelled.

    A file that is gone or damaged changes nothing: the keys at hand still serve.
    """
    seen: FileStamp | None = None
    while True:
        try:
            stamp = file.stamp()
            if stamp != seen:
                take(file.read())
                seen = stamp
        except CannotRun as error:
            log.warning("Keys cannot be renewed.", keys=file.holds, reason=str(error))
        await asyncio.sleep(FOLLOW_SECONDS)
