"""Seeded chance that does not depend on the order in which things happen."""

from __future__ import annotations

import hashlib
import random


def chance(seed: int, *names: str) -> random.Random:
    """The same generator for the same seed and names, whatever was drawn elsewhere before."""
    digest = hashlib.blake2b("\x00".join((str(seed), *names)).encode(), digest_size=8).digest()
    return random.Random(int.from_bytes(digest, "big"))
