"""`scripts/bench kafka`: the Kafka protocol, beside Apache Kafka and a Rust broker in memory.

The client is a small C program on librdkafka, the one inside the confluent-kafka package; needs a
C compiler and librdkafka's header (Debian: gcc, librdkafka-dev). With small records and two cores
it is busier than the brokers, so both ways are measured with ready-made requests, too. Brokers take
turns; figures are medians over the rounds, ratios are Tidelog's figure to the other's.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import confluent_kafka
from bench_brokers import (
    CACHE,
    ApacheKafka,
    MeasuredBroker,
    RustBroker,
    Tidelog,
    Unavailable,
    add_against,
    checkouts,
)
from bench_frames import FrameReader, FrameSender, records_in
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

SOURCE = Path(__file__).with_name("bench_client.c")
BROKERS: dict[str, type[Any]] = {"tidelog": Tidelog, "kafka": ApacheKafka, "rust": RustBroker}
MEGABYTES = {100: 200, 1000: 500}
LATENCY_RATES = (1000, 20_000)
BATCHES = {"16 KB": 16_384, "1 MB": 1_000_000}
READY_MADE_BYTES = 400_000_000
Figures = dict[str, dict[str, list[float]]]
"""scenario -> broker -> one figure per round"""


class Scenario(NamedTuple):
    size: int
    partitions: int
    acks: str

    @property
    def records(self) -> int:
        return MEGABYTES[self.size] * 1_000_000 // self.size

    def __str__(self) -> str:
        size = "1 KB" if self.size == 1000 else f"{self.size} B"
        return f"{size}, {self.partitions:2} partitions, acks={self.acks}"


def scenarios() -> Iterator[Scenario]:
    for size in MEGABYTES:
        for partitions in (1, 12):
            for acks in ("1", "all"):
                yield Scenario(size, partitions, acks)


def build_client() -> Path:
    """The compiled client. Ends the program where it cannot be built."""
    package = Path(confluent_kafka.__file__).parent
    libraries = sorted(package.parent.glob("confluent_kafka.libs/librdkafka-*.so*"))
    if not libraries or shutil.which("gcc") is None:
        sys.exit("needs gcc, and a confluent-kafka package with librdkafka inside")
    CACHE.mkdir(parents=True, exist_ok=True)
    program = CACHE / "bench_client"
    built = subprocess.run(
        [
            *("gcc", "-O2", "-Wall", "-o", program, SOURCE, libraries[0], "-lpthread"),
            *(f"-Wl,-rpath,{libraries[0].parent}", "-Wl,--allow-shlib-undefined"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode:
        sys.exit(f"{built.stderr}\nneeds librdkafka's header (Debian: librdkafka-dev)")
    return program


class Bench:
    """Runs the client against brokers and gathers figures."""

    def __init__(self, client: Path, brokers: list[MeasuredBroker]) -> None:
        self._client = client
        self._brokers = brokers
        self._admins = {b.name: AdminClient({"bootstrap.servers": b.kafka}) for b in brokers}
        self._topics = 0
        self.rates: Figures = defaultdict(lambda: defaultdict(list))
        self.cpu: Figures = defaultdict(lambda: defaultdict(list))
        self.latencies: dict[str, dict[str, list[dict[str, float]]]] = {}

    def _run(self, *arguments: object) -> dict[str, float]:
        done = subprocess.run(
            [self._client, *map(str, arguments)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"{' '.join(map(str, arguments))}: {done.stderr}")
        figures: dict[str, float] = json.loads(done.stdout)
        return figures

    def _topic(self, broker: MeasuredBroker, partitions: int) -> str:
        self._topics += 1
        name = f"bench-{self._topics}"
        admin = self._admins[broker.name]
        admin.create_topics([NewTopic(name, partitions, 1)])[name].result(30)
        latest = {TopicPartition(name, n): OffsetSpec.latest() for n in range(partitions)}
        while any(found.exception(30) for found in admin.list_offsets(latest).values()):
            time.sleep(0.05)
        return name

    def _delete(self, broker: MeasuredBroker, topic: str) -> None:
        self._admins[broker.name].delete_topics([topic])[topic].result(30)

    def warm_up(self, broker: MeasuredBroker) -> None:
        """A machine of Java wants to see its work before it is quick."""
        topic = self._topic(broker, 1)
        for _ in range(2):
            self._run("produce", broker.kafka, topic, "1", 100, 1_000_000)
        self._run("consume", broker.kafka, topic, 1, 2_000_000)
        self._delete(broker, topic)

    def round(self, scenario: Scenario) -> None:
        """Produce, and where acks=1 consume, with each broker in turn."""
        for broker in self._brokers:
            topic = self._topic(broker, scenario.partitions)
            before = broker.cpu_seconds()
            produced = self._run(
                *("produce", broker.kafka, topic, scenario.acks, scenario.size, scenario.records)
            )
            gigabytes = scenario.records * scenario.size / 1e9
            name = f"produce {scenario}"
            self.rates[name][broker.name].append(scenario.records / produced["seconds"])
            self.cpu[name][broker.name].append((broker.cpu_seconds() - before) / gigabytes)
            if scenario.acks == "1":
                before = broker.cpu_seconds()
                consumed = self._run(
                    "consume", broker.kafka, topic, scenario.partitions, scenario.records
                )
                name = f"consume {scenario}".removesuffix(", acks=1")
                self.rates[name][broker.name].append(scenario.records / consumed["after_first"])
                self.cpu[name][broker.name].append((broker.cpu_seconds() - before) / gigabytes)
            self._delete(broker, topic)

    def ready_made(self, size: int, batch: str) -> None:
        """Produce requests that were encoded before, and fetch without decoding.

        With acks=1 and twelve partitions.
        """
        records = records_in(BATCHES[batch], size)
        batches = READY_MADE_BYTES // (records * size)
        what = f"{'1 KB' if size == 1000 else '100 B'}, ready-made batches of {batch}"
        for broker in self._brokers:
            topic = self._topic(broker, 12)
            sender, reader = FrameSender(broker.kafka, topic), FrameReader(broker.kafka, topic, 12)
            for name, run in (
                ("produce", partial(sender.send, batches, 12, records, size, "1")),
                ("consume", partial(reader.read, batches * records)),
            ):
                before, seconds = broker.cpu_seconds(), run()
                spent = (broker.cpu_seconds() - before) / (batches * records * size / 1e9)
                self.rates[f"{name} {what}"][broker.name].append(batches * records / seconds)
                self.cpu[f"{name} {what}"][broker.name].append(spent)
            sender.close()
            reader.close()
            self._delete(broker, topic)

    def latency(self, rate: int, seconds: int) -> None:
        """End to end, 100-byte records, acks=1."""
        figures = self.latencies.setdefault(f"{rate:,} records/s", defaultdict(list))
        for broker in self._brokers:
            topic = self._topic(broker, 1)
            found = self._run("latency", broker.kafka, topic, "1", 100, rate, seconds)
            figures[broker.name].append(found)
            self._delete(broker, topic)

    def report(self) -> None:
        names = [broker.name for broker in self._brokers]
        print(f"\n{'medians':44}" + "".join(f"{name:>26}" for name in names))
        for scenario, figures in self.rates.items():
            cells = []
            for name in names:
                rate, cpu = (statistics.median(f[scenario][name]) for f in (self.rates, self.cpu))
                ratio = statistics.median(figures[names[0]]) / rate
                cells.append(f"{rate / 1e6:6.2f} M/s {cpu:5.2f} s/GB {ratio:4.2f}x")
            print(f"{scenario:44}" + "".join(f"{cell:>26}" for cell in cells))
        for rate, latencies in self.latencies.items():
            print(f"\nend to end at {rate}, ms")
            for name in names:
                medians = {
                    figure: statistics.median(one[figure] for one in latencies[name])
                    for figure in ("mean", "p50", "p99", "p99.9")
                }
                shown = "  ".join(f"{figure} {value:8.2f}" for figure, value in medians.items())
                print(f"  {name:14} {shown}")
        print("\npeak memory, MiB")
        for broker in self._brokers:
            print(f"  {broker.name:14} {broker.peak_mib():8.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench kafka", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--brokers", default="tidelog,kafka,rust", help="which, in order")
    parser.add_argument("--latency-seconds", type=int, default=5, help="0: no latencies")
    add_against(parser)
    given = parser.parse_args()
    client = build_client()
    with tempfile.TemporaryDirectory(prefix="tidelog-bench-") as directory:
        brokers: list[MeasuredBroker] = []
        try:
            for name in given.brokers.split(","):
                try:
                    brokers.append(BROKERS[name](Path(directory)))
                except Unavailable as reason:
                    print(f"without {BROKERS[name].name}: {reason}", file=sys.stderr)
            for other in checkouts(given.against)[1:]:
                brokers.append(Tidelog(Path(directory), checkout=other))
            bench = Bench(client, brokers)
            for broker in brokers:
                bench.warm_up(broker)
            for number in range(given.rounds):
                print(f"round {number + 1} of {given.rounds}", file=sys.stderr)
                for scenario in scenarios():
                    bench.round(scenario)
                for size in MEGABYTES:
                    for batch in BATCHES:
                        bench.ready_made(size, batch)
                for rate in LATENCY_RATES if given.latency_seconds else ():
                    bench.latency(rate, given.latency_seconds)
            bench.report()
        finally:
            for broker in brokers:
                broker.stop()


if __name__ == "__main__":
    main()
