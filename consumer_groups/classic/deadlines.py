"""When which key is due: a heap with at most one valid entry per key. Times come from outside."""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

from tidelog.consumer_groups.classic.classic_member import NEVER_MS

K = TypeVar("K", bound=Hashable)


class Deadlines(Generic[K]):
    def __init__(self) -> None:
        self._heap: list[tuple[int, int, K]] = []
        self._current: dict[K, tuple[int, int]] = {}
        self._entries = 0

    def set(self, key: K, deadline_ms: int) -> None:
        """The key is due at ``deadline_ms`` and at no other time."""
        current = self._current.get(key)
        if current is not None and current[0] == deadline_ms:
            return
        if deadline_ms >= NEVER_MS:
            self._current.pop(key, None)
            return
        self._entries += 1
        self._current[key] = (deadline_ms, self._entries)
        heapq.heappush(self._heap, (deadline_ms, self._entries, key))

    def forget(self, key: K) -> None:
        self._current.pop(key, None)

    def next_ms(self) -> int:
        """When the first key is due; NEVER_MS if none is."""
        while self._heap:
            deadline_ms, entry, key = self._heap[0]
            if self._current.get(key) == (deadline_ms, entry):
                return deadline_ms
            heapq.heappop(self._heap)
        return NEVER_MS

    def due(self, now_ms: int) -> list[K]:
        """The keys due by now, earliest first; they are forgotten here."""
        keys: list[K] = []
        while self.next_ms() <= now_ms:
            _, _, key = heapq.heappop(self._heap)
            del self._current[key]
            keys.append(key)
        return keys
