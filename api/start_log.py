"""What the log tells of a start: which broker begins, how recovery comes along, what is served."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

import tidelog
from tidelog.api.config import Config
from tidelog.broker.broker import Broker

_FIRST_S = 1.0
"""A start that takes no longer tells nothing of its progress."""
_AGAIN_S = 5.0
_MIB = 1024 * 1024
_log = logging.getLogger("tidelog.broker")


def tell_begin(config: Config) -> None:
    """Addresses and directory are ours; logs are opened next."""
    directory, ours = os.path.abspath(config.data_dir), tidelog.__version__
    _log.info(
        "Tidelog %s begins: data in %s, process %d, Python %s",
        *(ours, directory, os.getpid(), sys.version.split()[0]),
        extra={"version": ours, "data_dir": directory},
    )
    given = sorted(config.broker.given.items())
    if given:
        told = (f"{name}={text} ({config.broker.sources.get(name)})" for name, text in given)
        _log.info("settings: %s", ", ".join(told))


class RecoveryLog:
    """Tells now and then how far the opening of logs is, until ``stop``."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._timer = asyncio.get_running_loop().call_later(_FIRST_S, self._tell)

    def stop(self) -> None:
        self._timer.cancel()

    def _tell(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_AGAIN_S, self._tell)
        now = self._broker.opening.progress
        if not now.total:
            return
        text = f"{now.opened} of {now.total} logs are open"
        if now.total_bytes:
            read_mib, total_mib = now.read_bytes / _MIB, now.total_bytes / _MIB
            text += f", {read_mib:.1f} of {total_mib:.1f} MiB are checked"
        _log.info("%s", text, extra=now._asdict())


def tell_ready(broker: Broker, listeners: list[str], start_ms: int) -> None:
    """Everything is served."""
    topics = broker.topics()
    partitions = sum(len(topic.partitions) for topic in topics)
    checked = broker.opening.progress.total_bytes
    told = [f"{len(topics)} topics", f"{partitions} partitions"]
    if broker.started_clean:
        told.append("the last stop was clean")
    elif checked:
        told.append(f"the last stop was not clean, {checked} bytes were checked")
    _log.info(
        "ready after %d ms: %s; %s",
        *(start_ms, ", ".join(listeners), ", ".join(told)),
        extra={"start_ms": start_ms, "listeners": listeners},
    )
