"""What tells two uploads apart without their content: a digest that goes along with their records.

Records stand sealed in the log, each time otherwise. By its digest an upload that is sent again is known for the same
one, as far as the log has it, before anything of another one is written behind its beginning. It is keyed, so that
nobody can try out by it what a line may have said, and the key is destroyed with the client's data keys.
"""

from __future__ import annotations

from hashlib import sha256
from hmac import digest

KEYED = "k"
"""What a digest of today begins with; the older ones are hexadecimal digits alone."""
SHOWN_BYTES = 8


class UploadDigest:
    """HMAC-SHA-256 of the records of one upload so far, each with the number of its line; other lines are not in it."""

    def __init__(self, key: bytes) -> None:
        """`key` is this upload's: see `sealing.digest_key`."""
        self._key = key
        self._chain = b""

    def __repr__(self) -> str:
        return f"UploadDigest({self.text!r})"

    @property
    def text(self) -> str:
        """KEYED and sixteen hexadecimal digits; empty before the first record."""
        return KEYED + self._chain[:SHOWN_BYTES].hex() if self._chain else ""

    def add(self, line: int, content: bytes) -> None:
        """The next record, as its line has it."""
        self._chain = digest(self._key, self._chain + line.to_bytes(8) + content, "sha256")


class UnkeyedDigest:
    """As it was before it had a key: what is in the log like that is compared with it, and nothing is written."""

    def __init__(self) -> None:
        self._chain = b""

    def __repr__(self) -> str:
        return f"UnkeyedDigest({self.text!r})"

    @property
    def text(self) -> str:
        """Sixteen hexadecimal digits; empty before the first record."""
        return self._chain[:SHOWN_BYTES].hex()

    def add(self, line: int, content: bytes) -> None:
        """The next record, as its line has it."""
        self._chain = sha256(self._chain + line.to_bytes(8) + content).digest()


def is_unkeyed(text: str) -> bool:
    """Whether that was written before digests had a key."""
    return bool(text) and not text.startswith(KEYED)
