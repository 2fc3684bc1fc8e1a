"""What is logged of what is refused, connections and requests: enough to see why, never enough to
fill a disk.

Of each reason the first few of a minute are told in full, the others counted, and the count told
when the minute is over. Reasons are few and fixed, so that what is logged in a minute is bounded,
however many connections come.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import Protocol

TOLD_IN_FULL = 5
"""Of one reason in one minute."""
_MINUTE_S = 60.0


class Timer(Protocol):
    """As of an event loop."""

    def cancel(self) -> None: ...


CallLater = Callable[[float, Callable[[], None]], Timer]


class Refusals:
    """``call_later`` is the running event loop's unless another is given.

    ``what`` is refused may be requests, after which the connection stays: no ``outcome`` is told.
    """

    def __init__(
        self,
        log: logging.Logger,
        call_later: CallLater | None = None,
        *,
        what: str = "connections",
        outcome: str = "; closing",
    ) -> None:
        self._what = what
        self._outcome = outcome
        self._log = log
        self._call_later = call_later
        self._counts: Counter[str] = Counter()
        self._timer: Timer | None = None

    def tell(self, address: str, reason: str, detail: str = "") -> None:
        """What comes from ``address`` is refused; ``reason`` is one of a fixed set."""
        if self._timer is None:
            call_later = self._call_later or asyncio.get_running_loop().call_later
            self._timer = call_later(_MINUTE_S, self.end_minute)
        self._counts[reason] += 1
        if self._counts[reason] <= TOLD_IN_FULL:
            more = f" ({detail})" if detail else ""
            self._log.info("%s: %s%s%s", address, reason, more, self._outcome)

    def end_minute(self) -> None:
        """Tell of those that were only counted, and begin anew with the next."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        counts, self._counts = self._counts, Counter()
        for reason, count in counts.items():
            if count > TOLD_IN_FULL:
                self._log.info(
                    "%d more %s like this were refused in the last minute: %s",
                    count - TOLD_IN_FULL,
                    self._what,
                    reason,
                )
