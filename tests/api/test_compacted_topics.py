"""A compacted topic of a real broker, through HTTP, the Kafka protocol, kills and restarts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import httpx
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
from kafka import KafkaConsumer
from kafka.structs import TopicPartition as KafkaPythonPartition

from tests.support.broker_process import BrokerProcess

TOPIC = "latest"
KEYS = 40
BATCHES = 60
DEADLINE_S = 30

Latest = dict[str, object]


@pytest.fixture
def process(start_broker: Callable[..., BrokerProcess]) -> BrokerProcess:
    return start_broker("--set", "log.cleaner.backoff.ms=500")


def create(http: httpx.Client) -> None:
    settings = {"cleanup.policy": "compact", "segment.bytes": "1048576"}
    body = {"name": TOPIC, "partitions": 1, "settings": settings}
    http.post("/v1/topics", json=body).raise_for_status()


def produce(http: httpx.Client) -> Latest:
    """About 3 MB over a few keys; what a reader must find in the end."""
    latest: Latest = {}
    for number in range(BATCHES):
        records = [
            {"key": f"k{(number * 7 + n) % KEYS}", "value": f"{number}-{n}-" + "x" * 5000}
            for n in range(10)
        ]
        http.post(f"/v1/topics/{TOPIC}/records", json={"records": records}).raise_for_status()
        latest.update((str(record["key"]), record["value"]) for record in records)
    return latest


def segments(http: httpx.Client) -> list[dict[str, int]]:
    found: list[dict[str, int]] = http.get(f"/v1/topics/{TOPIC}/segments").json()["segments"]
    return found


def wait_until_compacted(http: httpx.Client) -> None:
    """Every sealed segment is clean, and together they hold little more than the keys need."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        sealed = [segment for segment in segments(http) if segment["sealed"]]
        small = sum(segment["bytes"] for segment in sealed) < 2 * KEYS * 6000
        if sealed and small and all(segment["cleaned"] for segment in sealed):
            return
        assert time.monotonic() < deadline, sealed


def check_what_is_shown(http: httpx.Client) -> None:
    """Segments, the preview and the metrics tell what compaction did."""
    found = segments(http)
    assert found[0]["cleaned"]
    assert not found[-1]["cleaned"]
    (shown,) = http.get(f"/v1/topics/{TOPIC}/retention").json()["partitions"]
    compaction = shown["compaction"]
    assert compaction["cleaned_offset"] == found[-1]["base_offset"]
    assert compaction["clean_bytes"] == sum(s["bytes"] for s in found if s["sealed"])
    assert (compaction["dirty_bytes"], compaction["due"]) == (0, None)
    metrics = dict(
        line.rsplit(" ", 1)
        for line in http.get("/metrics").text.splitlines()
        if line.startswith("tidelog_compaction")
    )
    assert float(metrics["tidelog_compaction_failures_total"]) == 0
    kept, source = (
        float(metrics[f"tidelog_compaction_{name}_bytes_total"]) for name in ("kept", "source")
    )
    assert 0 < kept < source


def read_over_http(http: httpx.Client) -> Latest:
    latest: Latest = {}
    offset = 0
    while True:
        path = f"/v1/topics/{TOPIC}/partitions/0/records"
        page = http.get(path, params={"offset": offset, "max_records": 7}).json()
        for record in page["records"]:
            assert record["offset"] >= offset
            latest[record["key"]] = record["value"]
        if page["next_offset"] == offset:
            return latest
        offset = page["next_offset"]


def read_with_librdkafka(address: str) -> Latest:
    latest: Latest = {}
    consumer = Consumer(
        {"bootstrap.servers": address, "group.id": "any", "enable.partition.eof": True}
    )
    consumer.assign([TopicPartition(TOPIC, 0, OFFSET_BEGINNING)])
    while (message := consumer.poll(DEADLINE_S)) is not None:
        error = message.error()
        if error is not None:
            assert error.code() == KafkaError._PARTITION_EOF, error
            break
        latest[message.key().decode()] = json.loads(message.value())
    else:
        pytest.fail("the end was not reached")
    consumer.close()
    return latest


def read_with_kafka_python(address: str) -> Latest:
    latest: Latest = {}
    consumer = KafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest")
    partition = KafkaPythonPartition(TOPIC, 0)
    consumer.assign([partition])
    end = consumer.end_offsets([partition])[partition]
    deadline = time.monotonic() + DEADLINE_S
    while consumer.position(partition) < end:
        assert time.monotonic() < deadline
        for record in consumer.poll(1000).get(partition, []):
            latest[record.key.decode()] = json.loads(record.value)
    consumer.close()
    return latest


def test_a_topic_shrinks_and_every_reader_finds_the_newest_of_each_key(
    process: BrokerProcess,
) -> None:
    with process.client() as http:
        create(http)
        latest = produce(http)
        wait_until_compacted(http)
        check_what_is_shown(http)
        assert read_over_http(http) == latest
        assert read_with_librdkafka(process.kafka) == latest
        assert read_with_kafka_python(process.kafka) == latest
        links = http.get(f"/v1/topics/{TOPIC}/partitions/0/records?offset=0").headers["link"]
        assert "pages" not in links
        topic_id = http.get(f"/v1/topics/{TOPIC}").json()["id"]
        page = http.get(f"/v1/topics/{TOPIC}/{topic_id}/partitions/0/pages/0")
        assert (page.status_code, page.json()["error"]["code"]) == (404, "no_pages")
        latest |= produce(http)
    process.kill()
    process.start()
    with process.client() as http:
        assert read_over_http(http) == latest
        wait_until_compacted(http)
        assert read_over_http(http) == latest
    process.restart()
    with process.client() as http:
        assert read_over_http(http) == latest
    assert "is not compacted" not in process.stderr
    assert not list(process.data_dir.glob("*/*.cleaned"))
