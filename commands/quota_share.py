"""A process' own part of a limit that all processes share, for the time in which they cannot count together."""

from __future__ import annotations

from typing import Final

REMEMBERED: Final = 0.5
"""What a second's counts still weigh in the next one."""


class QuotaShare:
    """One bidder's calls in one process: learns its part of all calls, and keeps to it when it is alone.

    Its part, not an even one: a load balancer need not treat processes alike, and nobody knows how many there are.
    """

    def __init__(self, processes: int) -> None:
        """`processes` is how many are known of: an even part until more has been learnt."""
        self._own = 1.0
        self._all = float(processes)
        self._second = 0
        self._own_now = 0
        self._all_now = 0

    def __repr__(self) -> str:
        return f"QuotaShare({self._own / self._all:.2f})"

    def counted(self, second: int, calls: int) -> None:
        """A call of this process was the `calls`-th one of all processes in this second of the epoch."""
        self._advance(second)
        self._own_now += 1
        self._all_now = max(self._all_now, calls)

    def allows(self, second: int, limit: int) -> bool:
        """Counts a call that only this process knows of; False once its part of the limit is used up.

        One call a second is always left, so a limit that is smaller than the number of processes may be passed.
        """
        self._advance(second)
        self._own_now += 1
        return self._own_now <= max(1, int(limit * self._own / self._all))

    def _advance(self, second: int) -> None:
        if second == self._second:
            return
        if self._all_now:
            self._own = self._own * REMEMBERED + min(self._own_now, self._all_now)
            self._all = self._all * REMEMBERED + self._all_now
        self._second, self._own_now, self._all_now = second, 0, 0
