"""The process: builds broker, groups and doors, starts them in order and stops them in reverse.

A stop first ends what waits (long polls, event streams), lets requests under way finish, closes
the logs and marks the directory clean.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from tidelog.api.broker_log import BrokerLog
from tidelog.api.caller import Rules
from tidelog.api.config import Config
from tidelog.api.doors import Doors
from tidelog.api.measures import Measures
from tidelog.api.reloading import Reloading
from tidelog.api.rest.context import RestContext
from tidelog.api.start_log import RecoveryLog, tell_begin, tell_ready
from tidelog.api.supervisor import Supervisor
from tidelog.broker.broker import Broker
from tidelog.broker.environment import Environment
from tidelog.consumer_groups.coordinator import Coordinator
from tidelog.storage.local.recovery_watch import Interrupted

if TYPE_CHECKING:
    from tidelog.api.movable_time import MovableTime

_STDIN, _STDOUT = 0, 1
_GC_THRESHOLDS = (50_000, 20, 20)
"""A request of a thousand records makes thousands of objects, none of them in cycles."""
_USUAL_SWITCH_S = sys.getswitchinterval()
_SWITCH_S = 0.001
"""While a thread recovers logs, those who ask for health wait for it so long, several times."""
_log = logging.getLogger("tidelog.broker")


class App:
    """One broker process, between ``start`` and ``stop``."""

    def __init__(
        self,
        config: Config,
        environment: Environment | None = None,
        rules: Rules | None = None,
    ) -> None:
        """Takes the data directory. Raises InvalidSetting, DirectoryInUse, DirectoryUnreadable."""
        self._config = config
        self.broker = Broker(config.data_dir, config.broker, environment)
        self.coordinator = Coordinator(self.broker)
        self._context = RestContext(
            self.broker, self.coordinator, config, measures=Measures(self.broker.clock), rules=rules
        )
        self._watching: asyncio.Task[None] | None = None
        self._doors = Doors(self._context)
        self.addresses = self._context.addresses

    async def start(self) -> None:
        """Take the addresses, recover, load, serve.

        Health and metrics are answered from the beginning. Raises CannotListen,
        DirectoryUnreadable, DiskFailed, DiskFull, Interrupted.
        """
        try:
            await self._doors.listen()
        except BaseException:
            await self._stop_doors()
            await self.broker.abandon()
            raise
        tell_begin(self._config)
        sys.setswitchinterval(_SWITCH_S)
        try:
            await self.broker.start()
        except BaseException:
            await self._stop_doors()
            raise
        finally:
            sys.setswitchinterval(_USUAL_SWITCH_S)
        try:
            await self.coordinator.start()
            self._report_recovery()
            self._watching = asyncio.ensure_future(self._context.measures.watch_loop())
            await self._doors.serve()
        except BaseException:
            await self.stop()
            raise

    async def caught_up(self) -> None:
        """Wait until retention of records and of committed offsets has run, where it was due."""
        await self.broker.housekeeping.caught_up()
        await self.coordinator.caught_up()

    def interrupt(self) -> None:
        """Let a start that is under way end with Interrupted, if it can do so sooner."""
        self.broker.opening.interrupt()

    def summary(self) -> str:
        """What is served where, in a line."""
        text = f"serving {', '.join(self.addresses.listeners)}"
        broken = len(self.broker.store.stopped())
        return f"{text}; {broken} partitions are broken, see /health/ready" if broken else text

    def _report_recovery(self) -> None:
        for cut in self.broker.store.cuts():
            what = "damage: whole batches followed" if cut.damage else "torn end"
            _log.warning(
                "%s: %d bytes from position %d were cut (%s) and are kept as %s",
                *(cut.path, cut.bytes, cut.position, what, cut.kept_as),
            )
        for finding in (*self.broker.opening.findings, *self.broker.opening.unfinished):
            _log.warning("%s", finding)

    async def stop(self) -> None:
        """End waits, finish requests, close everything. Raises what kept a log from closing."""
        self._context.stopping.set()
        if self._watching is not None:
            self._watching.cancel()
        self.broker.stop_waiting()
        self.coordinator.stop_waiting()
        await self._stop_doors()
        await self.coordinator.close()
        await self.broker.close()

    async def _stop_doors(self) -> None:
        await self._doors.stop(self.broker.settings["shutdown.grace.ms"])


async def _serve(process: Process, broker_log: BrokerLog, movable: MovableTime | None) -> None:
    app = App(process.config, Environment(clock=movable.clock) if movable else None)
    supervisor = Supervisor(os.environ)
    recovery = RecoveryLog(app.broker)
    supervisor.starting(lambda: app.broker.opening.progress)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    reloading = Reloading(app.broker, process.config, process.load, broker_log, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reloading.hear)
    if process.until_eof:
        _stop_at_eof(loop, stop, movable.heard if movable else _ignore)
    if movable is not None:
        movable.follow(app.caught_up, _tell)
    gc.set_threshold(*_GC_THRESHOLDS)
    starting = loop.create_task(app.start())
    starting.add_done_callback(lambda done: recovery.stop())
    await _first_of(starting, loop.create_task(stop.wait()))
    if not starting.done():
        supervisor.stopping(0)
        app.interrupt()
    try:
        await starting
    except Interrupted:
        _log.info("stopped while recovering; the next start begins again")
        return
    if not stop.is_set():
        start_ms = round((time.time() - process.started_at) * 1000)
        tell_ready(app.broker, app.addresses.listeners, start_ms)
        _say_ready(app, start_ms)
        supervisor.ready(app.summary())
    await stop.wait()
    _log.info("stopping")
    supervisor.stopping(app.broker.settings["shutdown.grace.ms"])
    await app.stop()
    _log.info("stopped: the data directory is whole")


async def _first_of(task: asyncio.Task[None], other: asyncio.Task[Any]) -> None:
    await asyncio.wait((task, other), return_when=asyncio.FIRST_COMPLETED)
    other.cancel()


def _say_ready(app: App, start_ms: int) -> None:
    ready: dict[str, object] = {
        "event": "ready",
        "http": app.addresses.http,
        "kafka": app.addresses.kafka,
        "pid": os.getpid(),
        "start_ms": start_ms,
    }
    if app.addresses.are_several:
        ready["listeners"] = app.addresses.listeners
    gc.collect()
    gc.freeze()
    _tell(json.dumps(ready, separators=(",", ":")))


def _tell(line: str) -> None:
    """Write a line to standard output, whoever is there to read it."""
    try:
        os.write(_STDOUT, line.encode() + b"\n")
    except OSError as error:
        _log.warning("cannot write to standard output (%s): %s", error.strerror, line)


def _stop_at_eof(
    loop: asyncio.AbstractEventLoop, stop: asyncio.Event, heard: Callable[[bytes], None]
) -> None:
    """Set ``stop`` when the other end of standard input, a pipe, is closed."""

    def readable() -> None:
        if data := os.read(_STDIN, 4096):
            heard(data)
        else:
            loop.remove_reader(_STDIN)
            stop.set()

    loop.add_reader(_STDIN, readable)


def _ignore(data: bytes) -> None:
    """Nothing that is said has a meaning."""


class Process(NamedTuple):
    """What a broker process is started with.

    ``load`` reads its settings again; ``started_at`` is when it began, in seconds since the epoch;
    with ``until_eof`` it also ends when standard input, a pipe, is closed; ``clock_ahead_ms`` is
    how far its clock is ahead of the machine's, from when on lines of that pipe move it.
    """

    config: Config
    load: Callable[[], Config]
    started_at: float
    until_eof: bool = False
    clock_ahead_ms: int | None = None


def run(process: Process) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises CannotListen, CannotLog, DirectoryInUse, DirectoryUnreadable, DiskFull, InvalidSetting.
    """
    config = process.config
    broker_log = BrokerLog(config.broker)
    if config.service_variables:
        _log.info("no settings but a service's: %s", ", ".join(config.service_variables))
    import uvloop

    movable = None
    if process.clock_ahead_ms is not None:
        from tidelog.api.movable_time import MovableTime

        movable = MovableTime(process.clock_ahead_ms)
    uvloop.run(
        _serve(process, broker_log, movable),
        loop_factory=uvloop.new_event_loop if movable is None else lambda: movable.loop,
    )
