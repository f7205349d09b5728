"""A log in front of which the disk stands in while Kafka is away.

What the log refuses is written to a file, synced, and only then accepted; a background task brings it to the log
when that is back, oldest first, and deletes what was acknowledged. Files that a killed process left behind are
taken over by the next one that looks.

An accepted event reaches the log at least once. It gets there twice, with the same id, only if a process dies
between the log's acknowledgement and the note of it in the file; readers drop ids they have seen.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import structlog

from commands.ports import AppendUndecided, EventLog, Position
from commands.spool_file import SUFFIX, Placed, SpoolFile, Unreadable, decode_record, encode_record
from domain.codec import decode, encode
from domain.errors import CorruptEvent, InvalidInput, LogUnavailable, Overloaded
from domain.events import Event
from domain.limits import SPOOL_FILE_MAX_BYTES, SPOOL_MAX_BYTES

RETRY_SECONDS = 0.5
SCAN_SECONDS = 5.0
DRAIN_APPENDS_MAX = 256
"""On their way to the log at the same time."""

_log = structlog.get_logger(__name__)

Decision = Callable[[], Awaitable[bool]]
Result = TypeVar("Result")


class _Waiting(NamedTuple):
    record: bytes
    events: int
    decision: Decision | None
    """Of an append to the log that is still undecided."""
    accepted: asyncio.Future[None]


class _Spooled(NamedTuple):
    file: SpoolFile
    decisions: dict[int, Decision]
    """By the record's start: it may be in the log already."""
    brought: set[int]
    """Starts of records that are in the log, those behind the mark included."""


class SpooledLog:
    """Implements ports.EventLog over another one. `start` it, `close` it before the log that it stands in for."""

    def __init__(self, inner: EventLog, folder: Path, *, max_bytes: int = SPOOL_MAX_BYTES) -> None:
        """`max_bytes` bounds the files of this process, those that it took over included."""
        self.spooled = 0
        """Events accepted onto the disk since the start."""
        self.drained = 0
        """Events that left the disk for the log, those of other processes included."""
        self.pending_bytes = 0
        """On the disk, or on their way to it."""
        self.files_set_aside = 0
        """Damaged, or with a record that cannot be brought to this log; kept beside the others, never deleted."""
        self.fault: str | None = None
        """What the disk said when it last failed, or the last defect that stopped a write or the draining."""
        self._inner = inner
        self._folder = folder
        self._max_bytes = max_bytes
        self._waiting: deque[_Waiting] = deque()
        self._committing: asyncio.Task[None] | None = None
        self._draining: asyncio.Task[None] | None = None
        self._current: _Spooled | None = None
        self._sealed: deque[_Spooled] = deque()
        """No longer written to, oldest first."""
        self._switch = asyncio.Lock()
        """Held while the current file is written or sealed."""
        self._something_spooled = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")

    def __repr__(self) -> str:
        return f"SpooledLog({self._folder}, {self.pending_bytes} bytes pending)"

    async def start(self) -> None:
        """Makes the folder, takes over what was left behind, and begins to drain. Raises OSError."""
        await self._off_loop(_make, self._folder)
        self._draining = asyncio.create_task(self._drain())

    async def close(self) -> None:
        """Syncs what was handed in; what is not drained stays on the disk for the next process."""
        while self._committing is not None:
            await self._committing
        if self._draining is not None:
            self._draining.cancel()
            await asyncio.gather(self._draining, return_exceptions=True)
        self._seal()
        await self._off_loop(self._release_all)
        self._thread.shutdown()

    async def append(self, topic: str, key: str, events: Sequence[Event]) -> Position:
        """Writes to the log, or to the disk when the log refuses; the partition and offset are then -1.

        Raises Overloaded when the disk's bound is reached, LogUnavailable when the disk cannot be written either.
        """
        try:
            return await self._inner.append(topic, key, events)
        except AppendUndecided as undecided:
            decision: Decision | None = undecided.decision
        except (LogUnavailable, Overloaded):
            decision = None
        await self._spool(encode_record(topic, key, [encode(event) for event in events]), len(events), decision)
        return Position(topic, -1, -1)

    # -- onto the disk -----------------------------------------------------------------------------

    async def _spool(self, record: bytes, events: int, decision: Decision | None) -> None:
        if self.pending_bytes + len(record) > self._max_bytes:
            raise Overloaded(f"The log is away and {self.pending_bytes} bytes wait for it on the disk already.")
        self.pending_bytes += len(record)
        waiting = _Waiting(record, events, decision, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_waiting())
        await waiting.accepted

    async def _commit_waiting(self) -> None:
        """One write and one sync for all that have come in the meantime."""
        while self._waiting:
            together, self._waiting = self._waiting, deque()
            try:
                async with self._switch:
                    await self._commit(together)
            except Exception as error:  # noqa: BLE001 - a defect too: whoever waits has to learn of it
                self._note(error)
                self.pending_bytes -= sum(len(each.record) for each in together)
                for each in together:
                    if not each.accepted.done():
                        each.accepted.set_exception(
                            LogUnavailable(f"Neither the log nor the disk takes the event: {error}")
                        )
            else:
                self.spooled += sum(each.events for each in together)
                for each in together:
                    if not each.accepted.done():
                        each.accepted.set_result(None)
                self._something_spooled.set()
        self._committing = None

    async def _commit(self, together: Iterable[_Waiting]) -> None:
        if self._current is None:
            self._current = _Spooled(await self._off_loop(SpoolFile.create, self._folder), {}, set())
        file, decisions, _ = self._current
        start = file.size_bytes
        try:
            await self._off_loop(file.append, b"".join(each.record for each in together))
        except Exception:
            self._seal()  # what stands behind a torn record could not be read
            raise
        for each in together:
            if each.decision is not None:
                decisions[start] = each.decision
            start += len(each.record)
        if file.size_bytes >= SPOOL_FILE_MAX_BYTES:
            self._seal()

    def _seal(self) -> None:
        if self._current is not None:
            self._sealed.append(self._current)
            self._current = None

    # -- from the disk to the log ------------------------------------------------------------------

    async def _drain(self) -> None:
        while True:
            try:
                await self._take_over()
                await self._drain_all()
            except Exception as error:  # noqa: BLE001 - a defect too: nothing else would drain
                self._note(error)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self._something_spooled.clear()
            try:
                async with asyncio.timeout(SCAN_SECONDS):
                    await self._something_spooled.wait()
            except TimeoutError:
                continue

    async def _drain_all(self) -> None:
        while self._sealed or self._current is not None:
            if not self._sealed:
                async with self._switch:
                    self._seal()  # unless a failed write has just done so
            spooled = self._sealed[0]
            await self._drain_file(spooled)
            self._sealed.popleft()
            self.pending_bytes -= spooled.file.record_bytes

    async def _drain_file(self, spooled: _Spooled) -> None:
        file = spooled.file
        try:
            placed, whole = await self._off_loop(file.read)
        except Unreadable:
            await self._set_aside(file)
            return
        understood = True
        # The first one finds out whether the log is there; the others need not all ask.
        windows = [placed[:1], *(placed[i : i + DRAIN_APPENDS_MAX] for i in range(1, len(placed), DRAIN_APPENDS_MAX))]
        for window in filter(None, windows):
            outcomes = await asyncio.gather(*(self._bring(each, spooled) for each in window), return_exceptions=True)
            for outcome in outcomes:
                if isinstance(outcome, BaseException):
                    raise outcome  # now that none of the others is still on its way
            understood &= all(outcomes)
            if understood:  # the mark stays before what is not understood: the next process must not miss it
                await self._off_loop(file.mark_drained, window[-1].end)
        if whole and understood:
            await self._off_loop(file.delete)
        else:
            await self._set_aside(file)

    async def _set_aside(self, file: SpoolFile) -> None:
        await self._off_loop(file.set_aside)
        self.files_set_aside += 1

    async def _bring(self, placed: Placed, spooled: _Spooled) -> bool:
        """Brings one record to the log, however long that takes; False if it cannot be understood."""
        if placed.start in spooled.brought:
            return True
        try:
            topic, key, payloads = decode_record(placed.body)
            decision = spooled.decisions.pop(placed.start, None)
            if decision is None or not await decision():
                await self._append_until_acknowledged(topic, key, [decode(payload) for payload in payloads])
        except (Unreadable, CorruptEvent, InvalidInput):
            return False
        spooled.brought.add(placed.start)
        self.drained += len(payloads)
        return True

    async def _append_until_acknowledged(self, topic: str, key: str, events: Sequence[Event]) -> None:
        """Raises Unreadable for a topic that the log does not have."""
        while True:
            try:
                await self._inner.append(topic, key, events)
            except AppendUndecided as undecided:
                if await undecided.decision():
                    return
            except (LogUnavailable, Overloaded):
                await asyncio.sleep(RETRY_SECONDS)
            except KeyError as error:
                if error.args != (topic,):
                    raise
                raise Unreadable(f"The log has no topic {topic!r}.") from error
            else:
                return

    async def _take_over(self) -> None:
        """Adds the files of processes that are gone."""
        adopted_bytes = await self._off_loop(self._adopt)
        # Not in one statement: that would forget what was added while the disk was asked.
        self.pending_bytes += adopted_bytes

    # -- on the spool's thread ---------------------------------------------------------------------

    def _adopt(self) -> int:
        adopted_bytes = 0
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            file = SpoolFile.take_over(path)
            if file is not None:
                self._sealed.append(_Spooled(file, {}, set()))
                adopted_bytes += file.record_bytes
        return adopted_bytes

    def _release_all(self) -> None:
        while self._sealed:
            self._sealed.popleft().file.release()

    def _note(self, error: Exception) -> None:
        if isinstance(error, OSError):
            self.fault = str(error)
        else:
            self.fault = f"A defect: {error!r}"
            _log.error("the spool met a defect", exc_info=error)

    async def _off_loop(self, call: Callable[..., Result], *arguments: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
