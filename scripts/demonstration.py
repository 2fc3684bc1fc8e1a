"""The live demonstration behind ``scripts/run``: a broker, a year of flights, groups, replay."""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flights import FLIGHTS, flights

ROOT = Path(__file__).resolve().parent.parent
TOPIC, GROUP = "flights", "dashboard"
PARTITIONS = 4
BATCH = 1000
DAY = ("2013-07-04T04:00:00Z", "2013-07-05T04:00:00Z")
DAY_SECONDS = 86_400
DAY_SHOWN_IN_SECONDS = 2
HTTP_PORT, KAFKA_PORT = 8082, 9092


def say(text: str = "") -> None:
    print(text, flush=True)


def step(text: str) -> None:
    say(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}")


class Broker:
    """A ``tidelog serve`` process and a connection to it."""

    def __init__(self, data_dir: Path, http_port: int, kafka_port: int) -> None:
        self.data_dir = data_dir
        self._ports = http_port, kafka_port
        self.start()

    def start(self) -> None:
        """Start it and wait for its ready line."""
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "tidelog.api.cli", "serve"),
                *("--data-dir", str(self.data_dir)),
                *("--http", f"127.0.0.1:{self._ports[0]}"),
                *("--kafka", f"127.0.0.1:{self._ports[1]}"),
                *("--log-level", "warning"),
            ],
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            sys.exit("the broker did not start")
        self.ready = json.loads(line)
        address = urlsplit(self.ready["http"])
        assert address.hostname is not None
        self._connection = http.client.HTTPConnection(address.hostname, address.port, timeout=120)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The JSON of an answer; ends the demonstration on an error."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        kind = {"Content-Type": "application/json"} if data is not None else {}
        self._connection.request(method, path, data, {**kind, **headers})
        response = self._connection.getresponse()
        content = response.read()
        if response.status >= 400:
            sys.exit(f"{method} {path}: {response.status} {content.decode()}")
        return json.loads(content) if content else None

    def lines(self, path: str) -> Iterator[dict[str, Any]]:
        """The objects of a streamed answer."""
        self._connection.request("GET", path, headers={"Accept": "application/x-ndjson"})
        for line in self._connection.getresponse():
            yield json.loads(line)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait()


def free(port: int) -> bool:
    """Whether a loopback port can be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def in_use(data_dir: Path) -> bool:
    """Whether a running broker holds a data directory."""
    import fcntl

    lock = data_dir / ".lock"
    if not lock.exists():
        return False
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def start(check: bool, scratch: Path) -> Broker:
    """A broker on the usual ports and directory where they are free."""
    data_dir, http_port, kafka_port = ROOT / "tidelog-data", HTTP_PORT, KAFKA_PORT
    if check:
        data_dir, http_port, kafka_port = scratch, 0, 0
    elif in_use(data_dir):
        say(f"{data_dir} is in use by a running broker: using a directory of our own for now.")
        data_dir = scratch
    if http_port and not free(http_port):
        say(f"Port {http_port} is taken: picking a free one for HTTP.")
        http_port = 0
    if kafka_port and not free(kafka_port):
        say(f"Port {kafka_port} is taken: picking a free one for the Kafka protocol.")
        kafka_port = 0
    broker = Broker(data_dir, http_port, kafka_port)
    ready = broker.ready
    say(f"Ready in {ready['start_ms']} ms: HTTP on {ready['http']}, Kafka on {ready['kafka']}.")
    return broker


def load(broker: Broker) -> None:
    """Write the flights, unless they are there already."""
    broker.call(
        "POST",
        "/v1/topics",
        {
            "name": TOPIC,
            "partitions": PARTITIONS,
            "settings": {"retention.ms": -1, "segment.bytes": 8 * 1024 * 1024},
            "if_not_exists": True,
        },
    )
    present = records_in(broker)
    if present == FLIGHTS:
        say(f"The topic {TOPIC} holds the {FLIGHTS:,} flights from an earlier run.")
        return
    if present:
        say(f"The topic {TOPIC} is incomplete, from an interrupted run: writing it again.")
        broker.call("DELETE", f"/v1/topics/{TOPIC}")
        load(broker)
        return
    bodies = [json.dumps({"records": batch}).encode() for batch in batches(broker)]
    began = time.monotonic()
    for number, body in enumerate(bodies):
        broker.call(
            "POST",
            f"/v1/topics/{TOPIC}/records",
            body,
            **{"Idempotency-Key": f"flights-{number}"},
        )
    took = time.monotonic() - began
    say(
        f"{FLIGHTS:,} flights written as JSON over one connection, acks=all, "
        f"in {took:.1f} s ({FLIGHTS / took:,.0f} records/s)."
    )


def batches(broker: Broker) -> Iterator[list[dict[str, Any]]]:
    """The flights as produce requests have them, a thousand at a time."""
    batch: list[dict[str, Any]] = []
    for carrier, timestamp, details in flights(ROOT / ".venv" / "flights"):
        batch.append({"key": carrier, "value": details, "timestamp": timestamp})
        if len(batch) == BATCH:
            yield batch
            batch = []
    yield batch


def records_in(broker: Broker) -> int:
    topic = broker.call("GET", f"/v1/topics/{TOPIC}")
    return sum(one["end_offset"] - one["start_offset"] for one in topic["partitions"])


def consume(broker: Broker, limit: int | None = None) -> int:
    """Read on where the group is, committing as it goes; how many records."""
    committed = {}
    groups = broker.call("GET", f"/v1/groups?prefix={GROUP}")["groups"]
    if any(one["group"] == GROUP for one in groups):
        offsets = broker.call("GET", f"/v1/groups/{GROUP}/offsets")["offsets"]
        committed = {one["partition"]: one["offset"] for one in offsets}
    count = 0
    for partition in range(PARTITIONS):
        offset = committed.get(partition, 0)
        while limit is None or count < limit:
            answer = broker.call(
                "GET",
                f"/v1/topics/{TOPIC}/partitions/{partition}/records"
                f"?offset={offset}&max_records=5000&max_bytes=4000000",
            )
            if not answer["records"]:
                break
            count += len(answer["records"])
            offset = answer["next_offset"]
        place = {"topic": TOPIC, "partition": partition, "offset": offset}
        broker.call("PUT", f"/v1/groups/{GROUP}/offsets", {"offsets": [place]})
    return count


def show_group(broker: Broker) -> None:
    broker.call(
        "POST",
        f"/v1/groups/{GROUP}/offsets:reset",
        {"to": "earliest", "topics": [TOPIC], "force": True},
    )
    began = time.monotonic()
    first = consume(broker, FLIGHTS // 3)
    behind = broker.call("GET", f"/v1/groups/{GROUP}")["total_lag"]
    say(f"The group {GROUP} read {first:,} records and committed; it is {behind:,} behind.")
    broker.kill()
    broker.start()
    say(
        f"The broker was killed (kill -9) and is back in {broker.ready['start_ms']} ms, "
        f"recovery included."
    )
    second = consume(broker)
    took = time.monotonic() - began
    say(f"The group went on where it was and read the other {second:,} ({took:.1f} s in all).")
    if first + second != FLIGHTS:
        sys.exit(f"{first} + {second} records came back, {FLIGHTS} were written")


def show_replay(broker: Broker) -> None:
    speed = DAY_SECONDS // DAY_SHOWN_IN_SECONDS
    began = time.monotonic()
    count, last, delayed = 0, 0, 0
    for one in broker.lines(f"/v1/topics/{TOPIC}/records?from={DAY[0]}&to={DAY[1]}&speed={speed}x"):
        if one["timestamp"] < last:
            sys.exit("the replay went back in time")
        count, last = count + 1, one["timestamp"]
        delayed += (one["value"]["dep_delay"] or 0) > 15
    took = time.monotonic() - began
    say(
        f"Independence Day 2013 replayed at {speed:,} times its pace: {count} departures "
        f"in {took:.1f} s, {delayed} of them more than 15 minutes late."
    )
    if count < 100:
        sys.exit("the replay is incomplete")


def show_operations(broker: Broker) -> None:
    segments = broker.call("GET", f"/v1/topics/{TOPIC}/segments")["segments"]
    total = sum(one["bytes"] for one in segments)
    going = broker.call("GET", f"/v1/topics/{TOPIC}/retention")["partitions"]
    expired = sum(len(one["expired"]) for one in going)
    say(
        f"Retention: {len(segments)} segments with {total / 1e6:.1f} MB, "
        f"{expired} of them would go now (retention.ms=-1 keeps everything)."
    )
    for _ in range(3):
        broker.call("GET", f"/v1/topics/{TOPIC}/partitions/0/records?offset=0&max_records=5000")
    cache = broker.call("GET", "/v1/cache")
    numbers = cache["topics"][TOPIC]
    say(
        f"Cache: {cache['used_bytes'] / 1e6:.1f} of {cache['budget_bytes'] / 1e6:.0f} MB in use, "
        f"{numbers['hits']} reads and {numbers['page_hits']} rendered pages answered from memory."
    )


def main() -> int:
    # A shell's background job ignores Ctrl-C's signal, and SIGTERM would leave the broker alone.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    parser = argparse.ArgumentParser(prog="scripts/run", description=__doc__)
    parser.add_argument("--check", action="store_true", help="end by itself")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory(prefix="tidelog-") as scratch:
        step("Starting the broker")
        broker = start(check, Path(scratch))
        try:
            step("Loading real events")
            load(broker)
            step("Consuming through a group")
            show_group(broker)
            step("Replaying a day")
            show_replay(broker)
            step("Operating")
            show_operations(broker)
            if not check:
                leave_running(broker)
        finally:
            status = broker.stop() if broker.process.poll() is None else broker.process.returncode
    if status:
        say(f"the broker ended with status {status}")
    return status


def leave_running(broker: Broker) -> None:
    step("Yours to try")
    url, kafka = broker.ready["http"], broker.ready["kafka"]
    server = "" if url.endswith(f":{HTTP_PORT}") else f" --server {url}"
    say(f"  .venv/bin/tidelog topic show {TOPIC}{server}")
    christmas = "--from 2013-12-24T00:00:00Z --to 2013-12-25T00:00:00Z"
    say(f"  .venv/bin/tidelog replay {TOPIC} {christmas}{server}")
    say(f"  .venv/bin/tidelog group show {GROUP}{server}")
    say(f"  curl '{url}/v1/topics/{TOPIC}/partitions/0/records?offset=-2'")
    say(f"  kcat -b {kafka} -C -t {TOPIC} -o -5 -e")
    say(f"  {url}/docs in a browser")
    say("\nThe broker runs until you press Ctrl-C.")
    with contextlib.suppress(KeyboardInterrupt):
        broker.process.wait()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
