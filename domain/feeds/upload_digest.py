"""What tells two uploads apart without their content: a digest that goes along with their records.

Records stand sealed in the log, each time otherwise. By its digest an upload that is sent again is known for the same
one, as far as the log has it, before anything of another one is written behind its beginning.
"""

from __future__ import annotations

from hashlib import sha256

SHOWN_BYTES = 8


class UploadDigest:
    """Of the records of one upload so far, each with the number of its line; other lines are not in it."""

    def __init__(self) -> None:
        self._chain = b""

    def __repr__(self) -> str:
        return f"UploadDigest({self.text!r})"

    @property
    def text(self) -> str:
        """Sixteen hexadecimal digits; empty before the first record."""
        return self._chain[:SHOWN_BYTES].hex()

    def add(self, line: int, content: bytes) -> None:
        """The next record, as its line has it."""
        self._chain = sha256(self._chain + line.to_bytes(8) + content).digest()
