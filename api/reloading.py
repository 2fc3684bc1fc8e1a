"""SIGHUP: the log goes on in a new file, settings are read again, and the broker lives on.

A terminal that hangs up sends the same signal: a broker that was started in it stops then.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable

from tidelog.api.broker_log import BrokerLog
from tidelog.api.config import Config, ConfigError
from tidelog.broker.broker import Broker
from tidelog.broker.errors import BrokerError

_STDIN = 0
_log = logging.getLogger("tidelog.settings")


class Reloading:
    """``load`` reads the settings anew and raises ConfigError or InvalidSetting."""

    def __init__(
        self,
        broker: Broker,
        config: Config,
        load: Callable[[], Config],
        broker_log: BrokerLog,
        stop: Callable[[], None],
    ) -> None:
        self._broker = broker
        self._config = config
        self._load = load
        self._broker_log = broker_log
        self._stop = stop
        self._in_terminal = os.isatty(_STDIN)
        self._tasks: set[asyncio.Task[None]] = set()
        broker.running_settings.listeners.append(self._use_log_settings)

    def hear(self) -> None:
        """The signal has come."""
        if self._in_terminal and _has_hung_up():
            _log.info("the terminal has hung up")
            self._stop()
            return
        self._broker_log.reopen()
        task = asyncio.get_running_loop().create_task(self._reload())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reload(self) -> None:
        try:
            config = self._load()
            ineffective = await self._broker.running_settings.reread(config.broker)
        except (ConfigError, BrokerError) as error:
            _log.error("settings stay as they are: %s", error)
            return
        ineffective += self._config.differences(config)
        _log.info("settings were read again")
        if ineffective:
            _log.warning("only a restart changes %s", ", ".join(sorted(ineffective)))

    def _use_log_settings(self) -> None:
        self._broker_log.use(self._broker.settings)


def _has_hung_up() -> bool:
    try:
        os.tcgetpgrp(_STDIN)
    except OSError:
        return True
    return False
