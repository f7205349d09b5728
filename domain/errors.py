"""What can go wrong in the rules, as one small tree.

GavelError
├── Refusal                 the caller asked for something that is not allowed: fix the input
│   ├── InvalidInput        one or more faults, each with its path
│   │   ├── UnknownReference it names entities that are not there
│   │   └── IllegalMove      what stands, or what is spent, forbids it
│   ├── NotFound            the thing named does not exist
│   ├── Conflict            the thing is not as the caller takes it to be
│   │   ├── VersionMismatch the caller named another version of it
│   │   ├── StillRunning    the same command is being worked on
│   │   └── NotPossible     as things stand it cannot be done, and nobody has changed them meanwhile
│   ├── RateLimited         the caller does it too often
│   ├── LimitReached        there may be no more of it
│   ├── KeyReused           one key for two different commands
│   └── InvalidToken        a signed token was forged, cut or comes from another installation
├── Unavailable             a server that is needed is away or full: try again later
│   ├── LogUnavailable      Kafka does not acknowledge
│   └── Overloaded          a bound on work in flight is reached
└── CorruptEvent            a logged event cannot be understood: a dead letter, never skipped
    ├── UnknownEvent        no such type in the catalogue
    └── UndecodableEvent    the type is known, the payload is not of its shape
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable


class GavelError(Exception):
    """Something Gavel itself can name went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").split("\n")[0])


class Refusal(GavelError):
    """The request is not allowed."""


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong with an input: where, and what."""

    path: str
    message: str


class InvalidInput(Refusal):
    """The input breaks one or more rules."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{fault.path}: {fault.message}" for fault in self.faults))


class UnknownReference(InvalidInput):
    """The input is well-formed but names entities that are not there."""


class IllegalMove(InvalidInput):
    """The input is well-formed but not allowed as things stand."""


class NotFound(Refusal):
    """There is no such thing."""


class Conflict(Refusal):
    """It was changed by somebody else in the meantime."""


class VersionMismatch(Conflict):
    """It has another version than the caller expects."""


class StillRunning(Conflict):
    """A command with this key is still being worked on."""


class NotPossible(Conflict):
    """It is not possible as things stand."""


class RateLimited(Refusal):
    """The caller does it too often: try again later."""

    def __init__(self, message: str, *, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class LimitReached(Refusal):
    """There may be no more of it."""


class KeyReused(Refusal):
    """The key was used for another command."""


class InvalidToken(Refusal):
    """The token was not issued by this installation, or was altered."""


class Unavailable(GavelError):
    """A server that is needed is away: try again later."""


class LogUnavailable(Unavailable):
    """The event log does not acknowledge writes."""


class Overloaded(Unavailable):
    """Too much work is in flight: try again later."""


class CorruptEvent(GavelError):
    """A logged event cannot be understood."""


class UnknownEvent(CorruptEvent):
    """The event's type or version is not in the catalogue."""


class UndecodableEvent(CorruptEvent):
    """The event's payload does not have the shape of its type."""
