"""The process and the disk below it, read by a thread: neither answers at once."""

from __future__ import annotations

import contextlib
import platform

from prometheus_client import PROCESS_COLLECTOR, generate_latest

import tidelog
from tidelog.api.rest.administration.metrics.families import gauge, gauges
from tidelog.broker.broker import Broker


def machine_families(broker: Broker) -> list[str]:
    labels = ("version", "python")
    build = [((tidelog.__version__, platform.python_version()), 1)]
    families = [gauges("tidelog_build_info", "What runs here", labels, build)]
    families.append(generate_latest(PROCESS_COLLECTOR).decode())
    with contextlib.suppress(OSError):
        space = broker.store.directory.space()
        text = "Bytes of the file system that holds the data"
        families.append(gauge("tidelog_disk_size_bytes", text, space.total))
        text = "Bytes of it that can be written still"
        families.append(gauge("tidelog_disk_free_bytes", text, space.usable))
    return families
