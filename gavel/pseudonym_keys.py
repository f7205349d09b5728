"""The keys that people's ids are hidden with in the log: where they are kept, how they rotate, who follows them.

The file holds the key in force and, where an operator wanted that, older ones. A key that is in it no longer is gone:
nobody can then tell which person a pseudonym under it stands for.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar

from gavel.key_file import Key, KeyFile, follow, fresh_key


class PseudonymKeyFile(KeyFile):
    """The file of one installation."""

    holds: ClassVar[str] = "pseudonym keys"
    made_by: ClassVar[str] = "gavel privacy rotate"
    setting: ClassVar[str] = "pseudonym_key"

    def rotate(self, *, keep_old: bool) -> Key:
        """Puts a fresh key in force; the older ones are destroyed unless they are to be kept. Raises CannotRun."""
        new = fresh_key(datetime.now(UTC).replace(microsecond=0))
        self.write((new, *(self.read() if keep_old and self.path.exists() else ())))
        return new


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
        if self._followed is not None:
            await follow(self._followed, self._take)

    def _take(self, keys: tuple[Key, ...]) -> None:
        self._key = keys[0].secret
