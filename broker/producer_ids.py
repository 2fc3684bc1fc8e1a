"""Ids of idempotent producers: none is given twice, not even before and after a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class ProducerIds:
    """Given one by one from blocks; ``take_block`` durably takes the next of them."""

    def __init__(self, take_block: Callable[[], Awaitable[range]]) -> None:
        self._take_block = take_block
        self._taking = asyncio.Lock()
        self._left = range(0)

    async def allocate(self) -> int:
        """The next. Raises what keeps a block from being taken."""
        while not self._left:
            async with self._taking:
                if not self._left:
                    self._left = await self._take_block()
        producer_id, self._left = self._left[0], self._left[1:]
        return producer_id
