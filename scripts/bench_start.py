"""`scripts/bench start`: from process start to ready after a clean stop, and memory at rest.

The data directory has 100 partitions with records in each. A shared machine adds to times but
never takes from them, so the fastest start and the least CPU time are what counts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

from bench_brokers import Tidelog, add_against, checkouts, revision

PARTITIONS, RECORDS = 100, 10_000
START_MS_BUDGET, MEMORY_MIB_BUDGET = 500, 80


class Start(NamedTuple):
    """One start: wall and CPU time in ms, resident memory in MiB."""

    ms: float
    cpu_ms: float
    ready_mib: float
    administered_mib: float


def call(url: str, path: str, body: Any = None) -> Any:
    """One HTTP call; the JSON of its answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def fill(directory: Path, checkout: Path) -> None:
    """Leave a clean data directory behind."""
    broker = Tidelog(directory, checkout=checkout)
    topic = {"name": "t", "partitions": PARTITIONS}
    call(broker.http, "/v1/topics", topic)
    records = [{"value": n, "partition": n % PARTITIONS} for n in range(RECORDS)]
    call(broker.http, "/v1/topics/t/records", {"records": records})
    broker.stop()


def measure(directory: Path, checkout: Path) -> Start:
    """Start, look, stop."""
    began = time.perf_counter()
    broker = Tidelog(directory, checkout=checkout)
    ms = (time.perf_counter() - began) * 1000
    cpu_ms, ready_mib = broker.cpu_seconds() * 1000, broker.resident_mib()
    assert len(call(broker.http, "/v1/topics/t")["partitions"]) == PARTITIONS
    administered_mib = broker.resident_mib()
    broker.stop()
    return Start(ms, cpu_ms, ready_mib, administered_mib)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--check", action="store_true", help="exit status 1 when over budget")
    add_against(parser)
    given = parser.parse_args()
    compared = checkouts(given.against)
    with tempfile.TemporaryDirectory(prefix="tidelog-bench-") as name:
        for one in compared:
            fill(Path(name), one)
        rounds = [[measure(Path(name), one) for one in compared] for _ in range(given.rounds)]
    for number, one in enumerate(compared):
        if number:
            print(f"\n{revision(one)}:")
        report([starts[number] for starts in rounds])
    own = [starts[0] for starts in rounds]
    fastest, ready_mib = min(one.ms for one in own), max(one.ready_mib for one in own)
    over = fastest > START_MS_BUDGET or ready_mib > MEMORY_MIB_BUDGET
    if over:
        print(f"over budget: {START_MS_BUDGET} ms, {MEMORY_MIB_BUDGET} MiB", file=sys.stderr)
    return int(over and given.check)


def report(starts: list[Start]) -> None:
    """Of one checkout."""
    fastest = min(start.ms for start in starts)
    median = statistics.median(start.ms for start in starts)
    cpu_ms = min(start.cpu_ms for start in starts)
    ready_mib = max(start.ready_mib for start in starts)
    print(f"ready after {fastest:.0f} ms (median {median:.0f}), {cpu_ms:.0f} ms of CPU")
    print(f"memory at rest {ready_mib:.0f} MiB")
    administered_mib = max(start.administered_mib for start in starts)
    print(f"memory once FastAPI has been needed {administered_mib:.0f} MiB")


if __name__ == "__main__":
    sys.exit(main())
