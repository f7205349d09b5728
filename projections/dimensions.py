"""Words from outside as keys of a report: bounded, so that no publisher's text can be too long for an index."""

from __future__ import annotations

TEXT_MAX_BYTES = 255
"""Eight of them stay below the 2,704 bytes that an index entry of Postgres can hold."""
SHORT_CHARS = TEXT_MAX_BYTES // 4
DEVICE_TYPE_MAX = 2**15 - 1


def bounded_text(text: str) -> str:
    """The text, cut after the last whole character within TEXT_MAX_BYTES."""
    if len(text) <= SHORT_CHARS:
        return text
    return text.encode()[:TEXT_MAX_BYTES].decode(errors="ignore")


def bounded_device_type(device_type: int) -> int:
    """The device type; 0, unknown, for numbers that none has."""
    return device_type if 0 <= device_type <= DEVICE_TYPE_MAX else 0
