"""The keys that impression and click addresses are signed with: where they are kept, how they rotate, who follows them.

A rotation breaks no ad that is on a page. The older keys stay in the file for as long as anything they have signed may
still come back, and every process knows a new key before the first one signs with it: it is in force only when all have
had time to read it. Nothing that was awarded later is believed to be an older key's: an old file signs nothing new.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import inf
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
        self.write(still_believed((new, *self.read()), now))
        return new


def still_believed(keys: tuple[Key, ...], now: datetime) -> tuple[Key, ...]:
    """The newest of the keys, which stands first, and those that have not been over for TOKEN_KEY_KEPT_SECONDS."""
    ended_long_ago = now - timedelta(seconds=TOKEN_KEY_KEPT_SECONDS)
    return (keys[0], *(key for successor, key in pairwise(keys) if successor.since > ended_long_ago))


class TokenKeysInForce:
    """The keys of a running process: called, the one that signs now; gone through, all that it believes now."""

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
        return next((key for since, key in self._by_start if since <= now), self._by_start[-1][1])

    def __iter__(self) -> Iterator[TokenKey]:
        # Nearly all tokens are the newest one's: for these nobody needs to know the time.
        yield self._newest
        now = self._clock.now().timestamp()
        yield from (key for believed_until, key in self._older if now < believed_until)

    async def follow(self) -> None:
        """Takes up what `gavel tokens rotate` writes, until it is cancelled; a fixed key stays."""
        if self._followed is not None:
            await follow(self._followed, self._take)

    def _take(self, keys: tuple[Key, ...]) -> None:
        ends = [inf, *(successor.since.timestamp() for successor in keys[:-1])]
        # A process that knows its successor a little late signs with a key that is over.
        signing = [TokenKey.of(key.secret, end + KNOWN_BEFORE_SECONDS) for key, end in zip(keys, ends, strict=True)]
        self._by_start = tuple((key.since, each) for key, each in zip(keys, signing, strict=True))
        believed_until = [end + TOKEN_KEY_KEPT_SECONDS for end in ends]
        self._newest, self._older = signing[0], tuple(zip(believed_until, signing, strict=True))[1:]
