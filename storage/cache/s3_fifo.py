"""Which cached things stay: the S3-FIFO policy within one strict byte budget.

Three queues, first in, first out (Yang et al., "FIFO queues are all you need for cache eviction",
SOSP 2023):

- *small* takes what is new, and about a tenth of the budget once the cache is full. What leaves it
  was either used again, then it moves to *main*, or it goes.
- *main* gives what was used since its last turn another turn.
- *ghost* remembers what left *small* of late; when it comes back it goes straight to *main*.

So a scan, however long, passes through *small* and leaves *main* alone. The caller decides what
counts as use, and which entries are hot from the start (then they begin in *main*).

``used_bytes`` never exceeds the budget, not even within a call. A ghost is charged too.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

_SMALL_SHARE = 10
_USES_MAX = 3
_GHOSTS_MIN = 64
"""How many keys that were asked for once are remembered beside few entries."""
GHOST_BYTES = 256
"""What one remembered key is charged."""


class Entry:
    """Something cached; ``cost_bytes`` is all the memory it holds, and does not change."""

    __slots__ = ("cost_bytes", "in_main", "uses")

    def __init__(self, cost_bytes: int) -> None:
        self.cost_bytes = cost_bytes
        self.in_main = False
        self.uses = 0

    def use(self) -> None:
        """Count a use that should keep the entry."""
        if self.uses < _USES_MAX:
            self.uses += 1


E = TypeVar("E", bound=Entry)


class S3Fifo(Generic[E]):
    """The queues; ``forget`` takes an evicted entry out of the caller's tables.

    It returns the key by which *ghost* remembers the entry.
    """

    def __init__(self, budget_bytes: int, forget: Callable[[E], Hashable]) -> None:
        self._budget_bytes = budget_bytes
        self._forget = forget
        self._small: OrderedDict[E, None] = OrderedDict()
        self._main: OrderedDict[E, None] = OrderedDict()
        self._ghost: OrderedDict[Hashable, None] = OrderedDict()
        self._small_bytes = 0
        self._main_bytes = 0
        self._charged_bytes = 0

    @property
    def used_bytes(self) -> int:
        """Everything charged against the budget."""
        return (
            self._small_bytes
            + self._main_bytes
            + self._charged_bytes
            + len(self._ghost) * GHOST_BYTES
        )

    @property
    def budget_bytes(self) -> int:
        return self._budget_bytes

    @budget_bytes.setter
    def budget_bytes(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self.make_room(0)

    def __len__(self) -> int:
        return len(self._small) + len(self._main)

    def charge(self, change_bytes: int) -> None:
        """Account for memory beside the entries (tables that find them)."""
        self._charged_bytes += change_bytes

    def make_room(self, cost_bytes: int) -> bool:
        """Evict until ``cost_bytes`` more fit; False when they never can."""
        if cost_bytes > self._budget_bytes:
            return False
        while self.used_bytes + cost_bytes > self._budget_bytes:
            if len(self):
                self._evict_one()
            elif self._ghost:
                self._ghost.popitem(last=False)
            else:
                return False
        return True

    def add(self, entry: E, ghost_key: Hashable, *, hot: bool) -> None:
        """Take an entry for which there is room; a hot one begins in *main*."""
        if ghost_key in self._ghost:
            del self._ghost[ghost_key]
            hot = True
        entry.in_main = hot
        if hot:
            self._main[entry] = None
            self._main_bytes += entry.cost_bytes
        else:
            self._small[entry] = None
            self._small_bytes += entry.cost_bytes

    def recall(self, key: Hashable) -> bool:
        """Whether *ghost* remembers the key; from now on it does, as far as there is room."""
        if key in self._ghost:
            return True
        if self.make_room(GHOST_BYTES):
            self._ghost[key] = None
            self._limit_ghosts(_GHOSTS_MIN)
        return False

    def _limit_ghosts(self, least: int) -> None:
        while len(self._ghost) > max(len(self), least):
            self._ghost.popitem(last=False)

    def remove(self, entry: E) -> None:
        """Let go of an entry that the caller dropped; it leaves no ghost."""
        if entry.in_main:
            del self._main[entry]
            self._main_bytes -= entry.cost_bytes
        else:
            del self._small[entry]
            self._small_bytes -= entry.cost_bytes

    def _evict_one(self) -> None:
        """Make one entry go, or move one on towards its end."""
        if self._small and (
            not self._main or self._small_bytes * _SMALL_SHARE > self._budget_bytes
        ):
            self._evict_from_small()
        else:
            self._evict_from_main()

    def _evict_from_small(self) -> None:
        entry, _ = self._small.popitem(last=False)
        self._small_bytes -= entry.cost_bytes
        if entry.uses:
            entry.uses = 0
            entry.in_main = True
            self._main[entry] = None
            self._main_bytes += entry.cost_bytes
            return
        self._ghost[self._forget(entry)] = None
        self._limit_ghosts(1)

    def _evict_from_main(self) -> None:
        main = self._main
        while True:
            entry, _ = main.popitem(last=False)
            if not entry.uses:
                break
            entry.uses -= 1
            main[entry] = None
        self._main_bytes -= entry.cost_bytes
        self._forget(entry)
