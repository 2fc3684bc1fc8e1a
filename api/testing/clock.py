"""The clock of a broker under test."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_MILLISECOND = timedelta(milliseconds=1)


class BrokerClock:
    """Runs with this machine's clock, ahead of it by what a test has moved it.

    When a call that moves it returns, members of groups whose session is over are out of them, and
    retention of records and of committed offsets has run, if it was due; what else became due has
    begun. Clients live by their own clocks: a broker that was moved by hours has not heard of them
    for hours.
    """

    def __init__(self, move: Callable[[int], None]) -> None:
        """``move`` takes by how many milliseconds it shall be ahead of this machine's clock."""
        self._move = move
        self.ahead = timedelta()

    def now(self) -> datetime:
        """In UTC."""
        return datetime.now(UTC) + self.ahead

    def advance(
        self,
        *,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
        milliseconds: float = 0,
    ) -> datetime:
        """Let so much time pass at once; what time it is then. Raises ValueError below 0."""
        passed = timedelta(
            days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds
        )
        if passed < timedelta():
            raise ValueError("time does not go back; clock.set(moment) may")
        self._put_ahead(self.ahead + passed)
        return self.now()

    def set(self, moment: datetime) -> None:
        """Make it that moment now.

        Where that is later, the time between passes. Where it is earlier, only the clock on the
        wall goes back, as when an administrator sets it: nobody waits longer for that. Raises
        ValueError for a moment without a time zone or before 1970.
        """
        if moment.tzinfo is None:
            raise ValueError(f"{moment} has no time zone; datetime(..., tzinfo=UTC) has")
        if moment.timestamp() < 0:
            raise ValueError(f"{moment} is before 1970")
        self._put_ahead(moment - datetime.now(UTC))

    def _put_ahead(self, ahead: timedelta) -> None:
        self._move(ahead // _MILLISECOND)
        self.ahead = ahead

    @property
    def ahead_ms(self) -> int:
        """By how many milliseconds it is ahead of this machine's clock; negative: behind it."""
        return self.ahead // _MILLISECOND

    def __repr__(self) -> str:
        return f"<BrokerClock {self.now().isoformat(timespec='milliseconds')}>"
