"""A map that never changes and shares nearly everything with the map that it was made from."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Final, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
SHARDS: Final = 1_024
"""A change copies this many references and one shard in so many of the entries."""


class Shards(Generic[Key, Value]):
    """Entries by the hash of their keys."""

    __slots__ = ("_count", "_shards")

    def __init__(self, shards: list[dict[Key, Value]] | None = None, count: int = 0) -> None:
        """Begin with an empty one; `with_changes` passes the arguments."""
        self._shards: list[dict[Key, Value]] = [{}] * SHARDS if shards is None else shards
        self._count = count

    def __repr__(self) -> str:
        return f"Shards({self._count})"

    def __len__(self) -> int:
        return self._count

    def get(self, key: Key) -> Value | None:
        return self._shards[hash(key) % SHARDS].get(key)

    def with_changes(self, changes: Mapping[Key, Value | None]) -> Shards[Key, Value]:
        """With these values, and without those that are None."""
        shards, count = self._shards.copy(), self._count
        copied: set[int] = set()
        for key, value in changes.items():
            number = hash(key) % SHARDS
            if number not in copied:
                shards[number] = shards[number].copy()
                copied.add(number)
            shard = shards[number]
            before = len(shard)
            if value is None:
                shard.pop(key, None)
            else:
                shard[key] = value
            count += len(shard) - before
        return Shards(shards, count)
