"""Apache Kafka's log reader finds no fault with what a broker wrote under mixed load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

from confluent_kafka import Consumer, Producer, TopicPartition

from tests.support.apache_kafka import ApacheKafka
from tests.support.broker_process import BrokerProcess

_CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
_VALUES = [Random(number).randbytes(800) for number in range(50)]
_SEGMENT_BYTES = 2**20
_SMALL = {"segment.bytes": str(_SEGMENT_BYTES), "index.interval.bytes": "512"}
_READ = ("*.log", "*.index", "*.timeindex", "*.snapshot")


def create(broker: BrokerProcess, topic: str, **settings: str) -> None:
    wanted = {**_SMALL, **{name.replace("_", "."): value for name, value in settings.items()}}
    with broker.client() as http:
        body = {"name": topic, "partitions": 1, "settings": wanted}
        http.post("/v1/topics", json=body).raise_for_status()


def new_producer(broker: BrokerProcess, codec: str, *, idempotent: bool) -> Producer:
    """Many small batches; its connections break without a word."""
    return Producer(
        {
            "bootstrap.servers": broker.kafka,
            "compression.type": codec,
            "enable.idempotence": idempotent,
            "batch.num.messages": 20,
            "log_level": 0,
        }
    )


def produce(producer: Producer, topic: str, count: int) -> None:
    for number in range(count):
        producer.produce(topic, _VALUES[number % len(_VALUES)], b"key-%d" % (number % 7))
        producer.poll(0)


def consume(broker: BrokerProcess, topic: str, group: str, count: int) -> None:
    """Read and commit in a group, so that the topic of offsets has records too."""
    consumer = Consumer(
        {"bootstrap.servers": broker.kafka, "group.id": group, "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    messages = consumer.consume(count, timeout=30)
    assert len(messages) == count
    consumer.commit(asynchronous=False)
    consumer.close()


def test_a_directory_after_load_and_a_crash(
    start_broker: Callable[..., BrokerProcess], apache_kafka: ApacheKafka
) -> None:
    broker = start_broker()
    for codec in _CODECS:
        create(broker, codec)
        producer = new_producer(broker, codec, idempotent=codec in ("none", "zstd"))
        produce(producer, codec, 1500)
        assert producer.flush(60) == 0
    consume(broker, "zstd", "group", 200)
    create(broker, "short", retention_bytes=str(_SEGMENT_BYTES))
    create(broker, "times", message_timestamp_type="LogAppendTime")
    create(broker, "crash")
    producer = new_producer(broker, "none", idempotent=True)
    produce(producer, "short", 3000)
    produce(producer, "times", 500)
    assert producer.flush(60) == 0
    with broker.client() as http:
        retained = http.post("/v1/topics/short/retention:run", json={}).raise_for_status()
    assert retained.json()

    produce(producer, "crash", 1500)
    while not end_offset(broker, "crash"):
        producer.poll(0.01)
    broker.kill()
    broker.start_again()
    assert producer.flush(60) == 0
    assert end_offset(broker, "crash") == 1500
    broker.stop()

    files = [path for kind in _READ for path in sorted(broker.data_dir.glob(f"*/{kind}"))]
    assert segments(files, "none-0") > 1
    assert 1 <= segments(files, "short-0") < 4
    assert segments(files, "__consumer_offsets-0") == 1
    assert apache_kafka.check_files(files) > 100


def segments(files: list[Path], partition: str) -> int:
    return sum(path.suffix == ".log" and path.parent.name == partition for path in files)


def end_offset(broker: BrokerProcess, topic: str) -> int:
    consumer = Consumer({"bootstrap.servers": broker.kafka, "group.id": "unused"})
    _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=30)
    consumer.close()
    return int(end)
