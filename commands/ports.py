"""What the commands need from the world, as Protocols; the adapters stand beside them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from domain.auction import Candidate
from domain.audience import Audience
from domain.catalogue import FrequencyCap
from domain.direct.budget import BudgetState, Uncharged
from domain.errors import GavelError, LogUnavailable
from domain.event_parts import RankedBy
from domain.events import Event
from domain.feeds.sealing import FeedTopic
from domain.market import Market
from domain.notices import ClaimedNotice, NoticeKey, Receiver
from domain.openrtb.request import BidRequest
from domain.openrtb.restrictions import Restriction
from domain.tokens import EngagementClaims


class Position(NamedTuple):
    """Where an event stands in the log."""

    topic: str
    partition: int
    offset: int


class EventLog(Protocol):
    """The append-only log."""

    async def append(self, topic: str, key: str, events: Sequence[Event]) -> Position:
        """Writes events of one key, in order; returns the last one's position once all replicas have them.

        Raises LogUnavailable when that takes longer than the bound, Overloaded when too much is in flight.
        After LogUnavailable the events may still be written later.
        """
        ...


class RefusingLog(EventLog, Protocol):
    """A log that can tell beforehand that it would not take an event."""

    def check(self, topic: str, key: str) -> None:
        """Raises LogUnavailable if an append for this key would be refused at once."""
        ...


class LogOfPartitions(Protocol):
    """A log of which every partition can be written to."""

    async def append_everywhere(
        self, topic: str, key: str, event_of: Callable[[int, int], Event]
    ) -> Sequence[Position]:
        """Writes an event to each partition: `event_of` is given its number and how many there are.

        Raises as `EventLog.append`; some partitions may have theirs then.
        """
        ...


class LoggedEvent(Protocol):
    """An event, and where in the log it stands."""

    @property
    def event(self) -> Event: ...
    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...


class EngagementHistory(Protocol):
    """What the log has of the engagements of one auction."""

    async def of(self, auction_id: str) -> Sequence[LoggedEvent]:
        """All events of the auction on the topic of engagements, in order. Raises LogUnavailable."""
        ...


class AppendUndecided(LogUnavailable):
    """The log did not acknowledge in time; the events may still be written."""

    def __init__(self, decision: Callable[[], Awaitable[bool]]) -> None:
        super().__init__()
        self.decision = decision
        """Waits, without a bound, until it is known; answers whether the log has the events."""


class Clock(Protocol):
    def now(self) -> datetime:
        """UTC wall time."""
        ...

    def monotonic(self) -> float:
        """Seconds, for measuring."""
        ...


class Ids(Protocol):
    def __call__(self) -> str:
        """A fresh UUIDv7 in text."""
        ...


class Catalogue(Protocol):
    """The newest state of the catalogue that this process knows."""

    @property
    def market(self) -> Market: ...


class Ranked(NamedTuple):
    """Candidates of each imp, best first, and who ranked them."""

    by_imp: Mapping[str, Sequence[Candidate]]
    ranked_by: RankedBy


class Ranking(Protocol):
    async def rank(self, auction_id: str, candidates: Mapping[str, Sequence[Candidate]]) -> Ranked:
        """Ranks the candidates of every imp; in process when Redis is away. Never raises."""
        ...


class BidderAnswer(NamedTuple):
    """What came back over HTTP, decompressed."""

    status: int
    body: bytes


class BidderFailed(GavelError):
    """A bidder gave no usable answer; it costs only the bidder's own bid."""


class LateAnswer(NamedTuple):
    """What a bidder answered after its caller had left."""

    answer: BidderAnswer
    at: float
    """Monotonic seconds at which it was complete."""


class BidderTimeout(BidderFailed):
    """The bidder did not answer in time."""

    def __init__(self, message: str | None = None, *, late: Awaitable[LateAnswer | None] | None = None) -> None:
        super().__init__(message)
        self.late = late
        """What it answers yet, or None once it is not waited for any longer; absent where nobody waits at all."""


class BidderUnreachable(BidderFailed):
    """No connection to the bidder: refused, unresolvable, untrusted, or an address that is not allowed."""


class BidderBroken(BidderFailed):
    """What the bidder answered is not HTTP, is cut off, or is too large."""


class BidderClient(Protocol):
    """One POST to one bidder over a kept-alive connection."""

    async def post(self, url: str, headers: Sequence[tuple[str, str]], body: bytes, deadline: float) -> BidderAnswer:
        """Answers before `deadline` (monotonic seconds) or raises BidderTimeout, BidderUnreachable or BidderBroken."""
        ...


class Wanted(NamedTuple):
    """What an award would reserve of a campaign's budget."""

    campaign_id: str
    auction_id: str
    imp_id: str
    nanos: int
    """In the campaign's currency; 0 for a campaign that is charged for clicks: then only its cap is looked at."""
    at: datetime
    expires_at: datetime
    budget_nanos: int
    daily_budget_nanos: int | None
    frequency_cap: FrequencyCap | None
    person: str


class SealedRecord(Protocol):
    """A feed client's record as it stands in Redis."""

    @property
    def letter(self) -> FeedTopic:
        """Of the topic that it is sealed for."""
        ...

    @property
    def key_id(self) -> str: ...
    @property
    def ciphertext(self) -> bytes: ...

    def has_expired(self, now: datetime) -> bool: ...


class Segments(Protocol):
    """What feed clients know of viewers."""

    async def __call__(
        self, market: Market, request: BidRequest, restricted_by: tuple[Restriction, ...], /
    ) -> Audience:
        """What may be known of who the request is for, within a few milliseconds. Never raises."""
        ...


class Budgets(Protocol):
    """The budgets of campaigns: atomic over all processes, and never overspent."""

    @property
    def are_known(self) -> bool:
        """False while Redis is away, or is being filled again from the log: then no campaign bids."""
        ...

    @property
    def states(self) -> Mapping[str, BudgetState]:
        """By campaign, at most a second or so old: good for pacing, never for promising."""
        ...

    async def reserve(self, wanted: Sequence[Wanted]) -> Sequence[str | None]:
        """For each, None once it is reserved, or the sentence why it is not. Never raises; Redis away: refused."""
        ...

    async def release(self, wanted: Sequence[Wanted]) -> None:
        """Gives back what was reserved for awards that are not going to be logged. Best effort: else it expires."""
        ...

    async def charge_click(self, wanted: Wanted) -> Uncharged | None:
        """None once a click is reserved as an award would be, or why its campaign is not charged. Never raises."""
        ...


class SeenEngagements(Protocol):
    """The fast check for duplicates. The unique key in Postgres is the judge."""

    async def is_logged(self, claims: EngagementClaims) -> bool:
        """Claims the engagement for this hit; True if an earlier hit is already in the log.

        While an earlier claim is undecided it waits a bounded time for it; a lost Redis answers False.
        """
        ...

    async def confirm(self, claims: EngagementClaims, at: datetime) -> None:
        """The hit that claimed it `at` that moment is in the log: remembered for as long as another one could count."""
        ...


class Outbox(Protocol):
    """The notices that are due, shared by all notifiers. Every method raises Unavailable while it is away."""

    async def claim(self, calls: Mapping[Receiver, int], *, at_most: int) -> Sequence[ClaimedNotice]:
        """Notices that are due now, the oldest of each receiver first, `at_most` in all; `calls` are under way.

        With its calls under way no bidder gets more than `at_most` either, and none of its hosts more than a share
        of that: a slow host does not keep the bidder's others waiting, and no bidder the other bidders.
        """
        ...

    async def settle(self, ended: Mapping[NoticeKey, bool], retries: Mapping[NoticeKey, float]) -> None:
        """Notices that came to an end, and whether they were delivered; those to be tried again, in so many seconds."""
        ...

    async def forget_old_days(self) -> None:
        """Drops the days that no notice can follow from any more."""
        ...
