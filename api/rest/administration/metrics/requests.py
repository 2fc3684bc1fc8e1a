"""Requests and connections of both doors: how many, how long, how they ended.

Apache Kafka's names where it counts the same; it tells no histograms, only percentiles that
cannot be added.
"""

from __future__ import annotations

from collections.abc import Iterator

from tidelog.api.measures import DoorName, Measured, Measures
from tidelog.api.rest.administration.metrics.families import (
    counters,
    gauges,
    histograms,
    reserved,
)

_TIMES = (
    "Time from a request to the beginning of its reply, by Kafka API or HTTP route; "
    "long polls wait in it"
)


def request_families(measures: Measures) -> Iterator[str]:
    times = [
        ((door, request), measured.times)
        for (door, request), measured in sorted(measures.requests.items())
    ]
    yield histograms("tidelog_request_seconds", _TIMES, ("door", "api"), times)
    statuses = (
        ((request, str(status)), count)
        for request, measured in _of(measures, "http")
        for status, count in sorted(measured.codes.items())
    )
    text = "Replies by HTTP route and status"
    yield counters("tidelog_http_responses_total", text, ("api", "status"), statuses)
    kafka = _of(measures, "kafka")
    counts = [((request,), measured.times.count) for request, measured in kafka]
    name = "kafka_network_requestmetrics"
    yield counters(f"{name}_requests_total", "Requests by Kafka API", ("request",), counts)
    errors = (
        ((request, _error_name(code)), count)
        for request, measured in kafka
        for code, count in sorted(measured.codes.items())
    )
    text = "Errors that replies told of, by Kafka API"
    yield counters(f"{name}_errors_total", text, ("request", "error"), errors)
    loop = [((), measures.loop_lag)]
    text = "How much later than it could the event loop does what is due"
    yield histograms("tidelog_loop_lag_seconds", text, (), loop)
    yield from _connections(measures)


def _connections(measures: Measures) -> Iterator[str]:
    open_now = {door: count() for door, count in measures.connections.items()}
    by_door = [((door,), count) for door, count in open_now.items()]
    yield gauges("tidelog_connections", "Open connections", ("door",), by_door)
    if "kafka" in open_now:
        name = "kafka_server_socket_server_metrics_connection_count"
        listeners = [(("PLAINTEXT",), open_now["kafka"])]
        yield reserved(name, "Open connections of Kafka clients", ("listener",), listeners)


def _of(measures: Measures, door: DoorName) -> list[tuple[str, Measured]]:
    requests = sorted(measures.requests.items())
    return [(request, measured) for (where, request), measured in requests if where == door]


def _error_name(code: int) -> str:
    from kio.schema.errors import ErrorCode

    return ErrorCode(code).name.upper()
