"""The keys that impression and click addresses are signed with: where they are kept, how they rotate, who follows them.

A rotation breaks no ad that is on a page. The older keys stay in the file for as long as anything they have signed may
still come back, and every process knows a new key before the first one signs with it: it is in force only when all have
had time to read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import ClassVar, Final

from commands.ports import Clock
from domain.limits import TOKEN_KEY_KEPT_SECONDS
from domain.tokens import TokenKey
from gavel.key_file import FOLLOW_SECONDS, Key, KeyFile, follow, fresh_key
from gavel.process_clock import SystemClock

KNOWN_BEFORE_SECONDS: Final = 10.0
"""From a rotation until the new key signs."""

assert KNOWN_BEFORE_SECONDS > 4 * FOLLOW_SECONDS, "a busy process reads the file later than an idle one"


class TokenKeyFile(KeyFile):
    """The file of one installation."""

    holds: ClassVar[str] = "token keys"
    made_by: ClassVar[str] = "gavel tokens rotate"
    setting: ClassVar[str] = "token_key"

    def rotate(self, now: datetime, *, destroy_old: bool) -> Key:
        """Adds a fresh key, which is in force KNOWN_BEFORE_SECONDS later, and drops those that are no longer needed.

        With `destroy_old` it is the only one, and in force at once. Raises CannotRun.
        """
        now = now.replace(microsecond=0)
        if destroy_old or not self.path.exists():
            new = fresh_key(now)
            self.write((new,))
            return new
        new = fresh_key(now + timedelta(seconds=KNOWN_BEFORE_SECONDS))
        keys = (new, *self.read())
        ended_long_ago = now - timedelta(seconds=TOKEN_KEY_KEPT_SECONDS)
        self.write((new, *(key for successor, key in pairwise(keys) if successor.since > ended_long_ago)))
        return new


class TokenKeysInForce:
    """The keys of a running process: called, the one that signs now; gone through, all that it believes."""

    def __init__(self, keys: Iterable[Key], clock: Clock, *, followed: TokenKeyFile | None = None) -> None:
        """`keys` are at least one, the newest first."""
        self._clock = clock
        self._followed = followed
        self._take(tuple(keys))

    @classmethod
    def of(cls, file: TokenKeyFile, clock: Clock) -> TokenKeysInForce:
        """Raises CannotRun when there is no file, or none that can be read."""
        return cls(file.read(), clock, followed=file)

    @classmethod
    def fixed(cls, secret: bytes) -> TokenKeysInForce:
        """One key that stays."""
        return cls([Key(secret.hex(), datetime.min.replace(tzinfo=UTC))], SystemClock())

    def __call__(self) -> TokenKey:
        now = self._clock.now()
        return next((key for since, key in self._by_start if since <= now), self._keys[-1])

    def __iter__(self) -> Iterator[TokenKey]:
        return iter(self._keys)

    async def follow(self) -> None:
        """Takes up what `gavel tokens rotate` writes, until it is cancelled; a fixed key stays."""
        if self._followed is not None:
            await follow(self._followed, self._take)

    def _take(self, keys: tuple[Key, ...]) -> None:
        self._by_start = tuple((key.since, TokenKey.of(key.secret)) for key in keys)
        self._keys = tuple(key for _, key in self._by_start)
