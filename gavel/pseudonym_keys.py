"""The keys that people's ids are hidden with in the log: where they are kept, how they rotate, who follows them.

The file holds the key in force and, where an operator wanted that, older ones. A key that is in it no longer is gone:
nobody can then tell which person a pseudonym under it stands for.
"""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import msgspec
import structlog

from domain.tokens import SECRET_MAX_BYTES, SECRET_MIN_BYTES
from gavel.errors import CannotRun, explained
from gavel.secret_file import write_secret
from gavel.settings import Settings, variable

KEY_BYTES: Final = 32
FOLLOW_SECONDS: Final = 0.5
"""How long a running process may go on with the key before the one in force."""

_Hex = Annotated[str, msgspec.Meta(pattern=rf"^([0-9a-fA-F]{{2}}){{{SECRET_MIN_BYTES},{SECRET_MAX_BYTES}}}\Z")]
_Stamp = tuple[int, int, int]

log = structlog.get_logger(__name__)


class PseudonymKey(msgspec.Struct, frozen=True):
    """One key, and since when it is in force; it ends where the next one begins."""

    key: _Hex
    since: datetime

    @property
    def secret(self) -> bytes:
        return bytes.fromhex(self.key)

    def __repr__(self) -> str:
        return f"PseudonymKey(since={self.since.isoformat()})"


class _Content(msgspec.Struct, frozen=True):
    keys: Annotated[tuple[PseudonymKey, ...], msgspec.Meta(min_length=1)]


class PseudonymKeyFile:
    """The file of one installation."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, settings: Settings) -> PseudonymKeyFile:
        """Where the settings say. Raises CannotRun where they hold the key itself, so that no file is asked."""
        if settings.pseudonym_key is not None:
            raise CannotRun(
                f"{variable('pseudonym_key')} holds the key, for as long as a process lives: change it there and "
                f"restart, or take it away, so that {variable('pseudonym_key_file')} counts"
            )
        return cls(settings.data / settings.pseudonym_key_file)

    def read(self) -> tuple[PseudonymKey, ...]:
        """The keys, the one in force first. Raises CannotRun when there is no file, or none that can be read."""
        with explained(self.path, "read pseudonym keys (`gavel privacy rotate` makes some) from"):
            content = self.path.read_bytes()
        try:
            return msgspec.json.decode(content, type=_Content).keys
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CannotRun(f"{self.path} does not hold pseudonym keys: {error}") from error

    def stamp(self) -> _Stamp:
        """Another one for every other content. Raises CannotRun when there is no file."""
        with explained(self.path, "look at"):
            status = self.path.stat()
        return (status.st_ino, status.st_mtime_ns, status.st_size)

    def ensure(self, *, first: str | None = None) -> None:
        """Makes the file, with `first` (hex) or a fresh key, unless there is one. Raises CannotRun."""
        if not self.path.exists():
            self._write((_in_force_now(first or secrets.token_hex(KEY_BYTES)),))

    def rotate(self, *, keep_old: bool) -> PseudonymKey:
        """Puts a fresh key in force; the older ones are destroyed unless they are to be kept. Raises CannotRun."""
        new = _in_force_now(secrets.token_hex(KEY_BYTES))
        self._write((new, *(self.read() if keep_old and self.path.exists() else ())))
        return new

    def _write(self, keys: tuple[PseudonymKey, ...]) -> None:
        write_secret(self.path, _Content(keys))


class KeyInForce:
    """The key that a running process hides ids with: a fixed one, or the newest of a file that it follows."""

    def __init__(self, key: bytes, *, followed: PseudonymKeyFile | None = None) -> None:
        self._key = key
        self._followed = followed

    @classmethod
    def of(cls, file: PseudonymKeyFile) -> KeyInForce:
        """Raises CannotRun when there is no file, or none that can be read."""
        return cls(file.read()[0].secret, followed=file)

    def __call__(self) -> bytes:
        return self._key

    async def follow(self) -> None:
        """Takes up what `gavel privacy rotate` writes, until it is cancelled; a fixed key stays."""
        if self._followed is None:
            return
        seen: _Stamp | None = None
        while True:
            try:
                stamp = self._followed.stamp()
                if stamp != seen:
                    self._key = self._followed.read()[0].secret
                    seen = stamp
            except CannotRun as error:
                # The key at hand still hides people well: auctions need not stop.
                log.warning("The pseudonym key cannot be renewed.", reason=str(error))
            await asyncio.sleep(FOLLOW_SECONDS)


def _in_force_now(key: str) -> PseudonymKey:
    return PseudonymKey(key, datetime.now(UTC).replace(microsecond=0))
