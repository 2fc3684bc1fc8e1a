"""Health and metrics: answered from the moment the port is open, while logs recover too.

They need no framework, which is not loaded before somebody asks for what it serves.

``GET /health/ready`` is 200 while everything is served (``ok``), or all but what is told in
``problems`` and does no harm yet (``degraded``: damage kept aside, a full disk). It is 503 while
``recovering``, ``stopping`` and ``failing``: then ``broken`` names what is not served, and why.
``GET /health/live`` has the same body and is always 200.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from tidelog.api.caller import DESCRIBE
from tidelog.api.http.request_reply import NO_STORE, Send, reply
from tidelog.api.rest.context import RestContext
from tidelog.api.rest.records.rendering import encode_json
from tidelog.consumer_groups.offsets_topic import OFFSETS_TOPIC
from tidelog.storage.errors import DiskFailed

Probe = Callable[[Send], Awaitable[None]]
_NOT_READY = ("recovering", "stopping", "failing")


class Broken(NamedTuple):
    """What is not served, and why; without a partition all of the topic, or of the broker."""

    topic: str | None
    partition: int | None
    reason: str


class Probes:
    """The routes by their path."""

    def __init__(self, context: RestContext) -> None:
        self._context = context
        self._routes: dict[str, Probe] = {
            "/health/live": self._live,
            "/health/ready": self._ready,
            "/metrics": self._metrics,
        }

    def find(self, path: str) -> Probe | None:
        """What answers a GET of ``path``, None for what is no probe."""
        return self._routes.get(path)

    async def _live(self, send: Send) -> None:
        """The process answers."""
        await reply(send, 200, encode_json(health(self._context)))

    async def _ready(self, send: Send) -> None:
        """Whether everything is served, and what is not."""
        if not self._context.broker.recovering:
            await self._context.broker.store.find_missing()
        told = health(self._context)
        if told["status"] in _NOT_READY:
            headers = (NO_STORE, (b"retry-after", b"1"))
            await reply(send, 503, encode_json(told), headers=headers)
        else:
            await reply(send, 200, encode_json(told))

    async def _metrics(self, send: Send) -> None:
        """Prometheus metrics."""
        self._context.access.cluster(DESCRIBE)
        page = await asyncio.to_thread(_import_metrics)
        written = await page.render_metrics(self._context)
        await reply(send, 200, written, page.CONTENT_TYPE.encode())


def _import_metrics() -> Any:
    """In a thread: the library takes longer than others may have to wait."""
    from tidelog.api.rest.administration.metrics import page

    return page


def health(context: RestContext) -> dict[str, Any]:
    """The body of an answer, as far as it is known."""
    broker = context.broker
    opened, total, read_bytes, total_bytes = broker.opening.progress
    broken = [] if broker.recovering else _broken(context)
    problems = [_told(one) for one in broken]
    if not broker.recovering:
        cuts = (cut for cut in broker.store.cuts() if cut.damage)
        problems += [f"{cut.path}: damaged, kept as {cut.kept_as}" for cut in cuts]
        failure = broker.store.failure
        if failure is not None and not isinstance(failure, DiskFailed):
            problems.append(f"checkpoints cannot be written: {failure}")
    status = "ok"
    if broker.closing:
        status = "stopping"
    elif broker.recovering:
        status = "recovering"
    elif broken:
        status = "failing"
    elif problems:
        status = "degraded"
    return {
        "status": status,
        "recovered": opened,
        "total": total,
        "recovered_bytes": read_bytes,
        "total_bytes": total_bytes,
        "problems": problems,
        "broken": [one._asdict() for one in broken],
    }


def _broken(context: RestContext) -> list[Broken]:
    broker = context.broker
    broken = [Broken(*stopped) for stopped in broker.store.stopped()]
    known = {(one.topic, one.partition) for one in broken}
    broken += [
        Broken(OFFSETS_TOPIC, partition, f"groups cannot be served: {reason}")
        for partition, reason in context.coordinator.failures().items()
        if (OFFSETS_TOPIC, partition) not in known
    ]
    if isinstance(broker.store.failure, DiskFailed):
        reason = f"checkpoints cannot be written: {broker.store.failure}"
        broken.append(Broken(None, None, reason))
    return broken


def _told(broken: Broken) -> str:
    if broken.topic is None:
        return broken.reason
    place = "" if broken.partition is None else f"-{broken.partition}"
    return f"{broken.topic}{place}: {broken.reason}"
