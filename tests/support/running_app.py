"""A whole broker in this process: its event loop in a thread, so that plain clients may call it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from tidelog.api.app import App
from tidelog.api.caller import Rules
from tidelog.api.config import load_config

_TIMEOUT_S = 60
T = TypeVar("T")


class RunningApp:
    """In a ``with``; ``problems`` is what its event loop had to report."""

    def __init__(self, data_dir: Path, *, rules: Rules | None = None, **flags: str) -> None:
        """``flags`` are settings by their Kafka names; ``rules`` say who may do what."""
        self._rules = rules
        free = {"http": "127.0.0.1:0", "kafka": "127.0.0.1:0"}
        self._config = load_config({"data_dir": str(data_dir), **free, **flags}, {}, data_dir)
        self._loop = uvloop.new_event_loop()
        self._loop.set_exception_handler(lambda loop, context: self.problems.append(context))
        self._thread = threading.Thread(target=self._loop.run_forever)
        self.problems: list[dict[str, Any]] = []

    def __enter__(self) -> RunningApp:
        self._thread.start()
        try:
            self.run(self._start())
        except BaseException:
            self._end()
            raise
        self.url = self.app.addresses.http
        self.kafka = self.app.addresses.kafka or ""
        return self

    async def _start(self) -> None:
        self.app = App(self._config, rules=self._rules)
        await self.app.start()
        await self.app.coordinator.loaded()

    def __exit__(self, *error: object) -> None:
        try:
            self.run(self.app.stop())
        finally:
            self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine, which its event loop runs."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_TIMEOUT_S)

    def housekeep(self) -> None:
        """Pass once over everything, as happens by itself now and then."""
        now_ms = self.app.broker.clock.now_ms()
        self.run(self.app.broker.housekeeping.run(now_ms))
        self.run(self.app.broker.compaction.run(now_ms))
