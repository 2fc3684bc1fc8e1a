"""Records: the same requests to Apache Kafka and to us get the same answers, version by version.

Where we differ it is for a reason, and the tests at the end say which.
"""

from __future__ import annotations

import itertools
import struct
import time
import uuid
from typing import Any

import pytest
from crc32c import crc32c

from tests.support import odd_batches
from tests.support.both_brokers import CLOSED, BothBrokers, TopicId
from tests.support.kafka_wire import Message
from tidelog.api.kafka.api_table import APIS
from tidelog.storage.batches.record_batch import encode_batch

pytestmark = pytest.mark.xdist_group("apache_kafka_broker")

_NOW = 1_700_000_000_000
_UNKNOWN_ID = uuid.UUID(int=77)
_APIS = {api.name: api for api in APIS.values()}
_numbers = itertools.count()


def versions(api: str) -> Any:
    served = range(_APIS[api].min_version, _APIS[api].max_version + 1)
    return pytest.mark.parametrize("version", served)


@pytest.fixture
def new(both: BothBrokers) -> Any:
    """Makes topics on both brokers."""

    def make(partitions: int = 1, **configs: str) -> str:
        return both.create_topic(f"records-{next(_numbers)}", partitions, **configs)

    return make


def batch(
    count: int = 1, *, timestamp: int = _NOW, key: bytes | None = b"k", **options: Any
) -> bytes:
    records = [(timestamp + number * 10, key, b"%d" % number * 9, ()) for number in range(count)]
    return bytes(encode_batch(records, **options))


def changed(data: bytes, position: int, layout: str, value: int, *, seal: bool = True) -> bytes:
    """With another value in a field of the header, and a checksum that agrees unless told not."""
    made = bytearray(data)
    struct.pack_into(layout, made, position, value)
    if seal:
        struct.pack_into(">I", made, 17, crc32c(memoryview(made)[21:]))
    return bytes(made)


def produce_fields(
    topic: Any, data: bytes | None, version: int, acks: int = -1, partition: int = 0
) -> Message:
    named = {"topic_id": _id(topic)} if version >= 13 else {"name": topic}
    places = [{"index": partition, "records": data}]
    return {"acks": acks, "timeout_ms": 5000, "topic_data": [{**named, "partition_data": places}]}


def fetch_fields(topic: Any, offset: int, version: int, **options: Any) -> Message:
    entry: Message = {"partition": 0, "fetch_offset": offset, "partition_max_bytes": 2**20}
    entry.update(options.pop("entry", {}))
    named = {"topic_id": _id(topic)} if version >= 13 else {"topic": topic}
    fields: Message = {"max_wait_ms": 0, "min_bytes": 1, "max_bytes": 2**20}
    if version >= 7:
        fields["session_epoch"] = -1
    return {**fields, "topics": [{**named, "partitions": [entry]}], **options}


def _id(topic: Any) -> Any:
    return topic if isinstance(topic, uuid.UUID) else TopicId(topic)


def list_fields(topic: str, timestamp: int, **entry: int) -> Message:
    partition = {"partition_index": 0, "timestamp": timestamp, **entry}
    return {"replica_id": -1, "topics": [{"name": topic, "partitions": [partition]}]}


REFUSED = {
    "bad checksum": changed(batch(), 17, ">I", 0, seal=False),
    "magic 0": changed(batch(), 16, ">b", 0, seal=False),
    "magic 1": changed(batch(), 16, ">b", 1, seal=False),
    "magic 3": changed(batch(), 16, ">b", 3, seal=False),
    "no bytes": b"",
    "too few bytes": batch()[:30],
    "cut": batch()[:-1],
    "two batches": batch() + batch(),
    "negative length": changed(batch(), 8, ">i", -1, seal=False),
    "length 0": changed(batch(), 8, ">i", 0, seal=False),
    "no records": changed(batch(), 57, ">i", 0),
    "record count too high": changed(batch(), 57, ">i", 5),
    "last offset delta too high": changed(batch(), 23, ">i", 5),
    "first offset not 0": changed(batch(), 0, ">q", 7, seal=False),
    "control batch": batch(attributes=0x20),
    "transactional without an id": batch(attributes=0x10),
    "producer without a sequence": batch(producer_id=5, producer_epoch=0, base_sequence=-1),
    "far ahead": batch(timestamp=int(time.time() * 1000) + 7_200_000),
}
TAKEN = {
    "one": batch(),
    "several": batch(3),
    **{f"codec {codec}": batch(2, codec=codec) for codec in range(4)},
    "no key": batch(key=None),
    "leader epoch": changed(batch(), 12, ">i", 7, seal=False),
    "long ago": batch(timestamp=0),
    "no timestamp": batch(timestamp=-1),
    "delete horizon": batch(attributes=0x40),
    "log append time": batch(attributes=0x08),
    "unknown attribute": batch(attributes=0x80),
}


@versions("produce")
def test_produce(both: BothBrokers, new: Any, version: int) -> None:
    topic = new(2)
    for name, data in TAKEN.items():
        answer = both.same("produce", version, **produce_fields(topic, data, version))
        assert _code(answer) == 0, name
    for name, data in REFUSED.items():
        answer = both.same("produce", version, **produce_fields(topic, data, version))
        assert _code(answer) != 0, name
    for partition in (9, -1):
        both.same(
            "produce", version, **produce_fields(topic, batch(), version, partition=partition)
        )
    both.same("produce", version, **produce_fields(topic, batch(codec=4), version))
    for acks in (1, 2, -2):
        both.same("produce", version, **produce_fields(topic, batch(), version, acks))
    for unknown in ("no-such-topic", "not a name") if version < 13 else (_UNKNOWN_ID,):
        both.same("produce", version, **produce_fields(unknown, batch(), version))
    both.same("produce", version, acks=-1, timeout_ms=5000, topic_data=[])


@pytest.fixture(scope="module")
def plain(both: BothBrokers) -> str:
    """One topic for batches that have nothing to do with each other."""
    return both.create_topic("records-odd", retention_ms="-1")


@pytest.mark.parametrize("name", odd_batches.READABLE)
def test_odd_batches_are_taken_by_both(both: BothBrokers, plain: str, name: str) -> None:
    fields = produce_fields(plain, odd_batches.READABLE[name], 9)
    assert _code(both.same("produce", 9, **fields)) == 0


@pytest.mark.parametrize("name", {**odd_batches.BROKEN, **odd_batches.MARKED_AS_NONE})
def test_broken_batches_are_refused_by_both(both: BothBrokers, plain: str, name: str) -> None:
    data = {**odd_batches.BROKEN, **odd_batches.MARKED_AS_NONE}[name]
    for version in (3, 9):
        assert _code(both.same("produce", version, **produce_fields(plain, data, version))) == 87


def test_produce_before_version_3_is_refused(both: BothBrokers, new: Any) -> None:
    topic = new()
    for version in range(3):
        assert both.same("produce", version, **produce_fields(topic, batch(), version)) == CLOSED


def _code(answer: Message) -> int:
    code: int = answer["responses"][0]["partition_responses"][0]["error_code"]
    return code


@pytest.mark.parametrize("version", [3, 7, 8, 13])
def test_produce_to_topics_with_rules(both: BothBrokers, new: Any, version: int) -> None:
    now = int(time.time() * 1000)
    mixed = [(now, b"k", b"", ()), (now, None, b"", ()), (now, None, b"", ())]
    bounded = {"message_timestamp_before_max_ms": "60000"}
    cases = {
        new(cleanup_policy="compact"): [
            batch(),
            batch(key=None),
            bytes(encode_batch(mixed)),
            bytes(encode_batch(mixed, codec=1)),
        ],
        new(max_message_bytes="200"): [batch(2), batch(40), batch(40, codec=1)],
        new(message_timestamp_type="LogAppendTime"): [
            batch(timestamp=0),
            batch(2, timestamp=2 * now, codec=2),
        ],
        new(**bounded, message_timestamp_after_max_ms="60000"): [
            batch(timestamp=now),
            batch(timestamp=-1),
            batch(2, timestamp=now - 120_000),
            batch(2, timestamp=now + 120_000),
            bytes(encode_batch([(now, b"k", b"", ()), (0, b"k", b"", ())])),
        ],
    }
    for topic, batches in cases.items():
        for data in batches:
            both.same("produce", version, **produce_fields(topic, data, version))


def test_idempotent_producers(both: BothBrokers, new: Any) -> None:
    """(producer, epoch, first sequence, records): gaps, repeats, old epochs, wrapping."""
    topic = new()
    steps = [
        *((1, 0, 0, 3), (1, 0, 3, 1), (1, 0, 9, 1)),
        *((1, 0, sequence, 1) for sequence in range(4, 12)),
        *((1, 0, 0, 3), (1, 0, 11, 2), (1, 1, 5, 1), (1, 1, 0, 1), (1, 0, 12, 1)),
        *((2, 0, 7, 1), (2, 0, 8, 1), (3, 5, 0, 1)),
        *((4, 0, 2**31 - 1, 1), (4, 0, 0, 1), (5, 0, 2**31 - 2, 3), (5, 0, 1, 1)),
    ]
    for producer_id, epoch, sequence, count in steps:
        options = {"producer_epoch": epoch, "base_sequence": sequence}
        data = batch(count, producer_id=producer_id, **options)
        both.same("produce", 9, **produce_fields(topic, data, 9))
    asked = [
        {"name": name, "partition_indexes": [0, 9]} for name in (topic, "no-such-topic", "a b")
    ]
    both.same("describe_producers", 0, topics=asked)


@pytest.fixture(scope="module")
def filled(both: BothBrokers) -> str:
    """Ten batches of three records, two codecs, a second apart; retention leaves them alone."""
    topic = both.create_topic("filled", 2, retention_ms="-1")
    for number in range(10):
        data = batch(3, timestamp=_NOW + number * 1000, codec=number % 2)
        both.same("produce", 9, **produce_fields(topic, data, 9))
    return topic


@versions("fetch")
def test_fetch(both: BothBrokers, filled: str, version: int) -> None:
    """Offsets, batch bytes, limits, epochs, sessions, what is not there."""
    entries: list[Message] = [{"partition": 9}, {"partition": 1}, {"partition_max_bytes": 1}]
    if version >= 9:
        entries += [{"current_leader_epoch": epoch} for epoch in (0, 5)]
    if version >= 12:
        entries += [{"last_fetched_epoch": epoch} for epoch in (0, 5, -2)]
    for offset in (0, 7, 30, 31, -1):
        both.same("fetch", version, **fetch_fields(filled, offset, version))
    for entry in entries:
        both.same("fetch", version, **fetch_fields(filled, 4, version, entry=entry))
    both.same("fetch", version, **fetch_fields(filled, 4, version, max_bytes=1))
    both.same("fetch", version, **fetch_fields(filled, 4, version, isolation_level=1))
    for unknown in ("no-such-topic", "not a name") if version < 13 else (_UNKNOWN_ID,):
        both.same("fetch", version, **fetch_fields(unknown, 0, version))
    both.same("fetch", version, **{**fetch_fields(filled, 0, version), "topics": []})
    if version >= 7:
        for session_id, epoch in ((77, 1), (77, -1), (0, 3), (0, 0)):
            session = {"session_id": session_id, "session_epoch": epoch}
            both.same("fetch", version, **fetch_fields(filled, 0, version, **session))


def test_only_the_first_batch_of_a_fetch_exceeds_a_limit(both: BothBrokers) -> None:
    topic, data = both.create_topic("large-batches", 3), batch()
    for partition in range(3):
        both.same("produce", 9, **produce_fields(topic, data, 9, partition=partition))

    def same(max_bytes: int, partition_max_bytes: int) -> None:
        fields = fetch_fields(topic, 0, 12, max_bytes=max_bytes)
        (entry,) = fields["topics"][0]["partitions"]
        entry["partition_max_bytes"] = partition_max_bytes
        fields["topics"][0]["partitions"] = [{**entry, "partition": one} for one in range(3)]
        both.same("fetch", 12, **fields)

    for limit in (1, len(data) - 1, len(data), len(data) + 1, 2 * len(data), 3 * len(data) - 1):
        same(limit, 2**20)
        same(2**20, limit)


@versions("list_offsets")
def test_list_offsets(both: BothBrokers, filled: str, version: int) -> None:
    empty = {"partition_index": 1}
    times = [_NOW + ms for ms in (0, 1, 1000, 9020, 9021, 10**7)]
    for timestamp in (*range(-7, 1), *times):
        both.same("list_offsets", version, **list_fields(filled, timestamp))
        both.same("list_offsets", version, **list_fields(filled, timestamp, **empty))
    both.same("list_offsets", version, **list_fields("no-such-topic", -1))
    for partition in (9, -1):
        both.same("list_offsets", version, **list_fields(filled, -1, partition_index=partition))
    if version >= 2:
        both.same("list_offsets", version, isolation_level=1, **list_fields(filled, -1))
    if version >= 4:
        for epoch in (0, 5):
            entry = {"current_leader_epoch": epoch}
            both.same("list_offsets", version, **list_fields(filled, -1, **entry))


@versions("offset_for_leader_epoch")
def test_offset_for_leader_epoch(both: BothBrokers, filled: str, version: int) -> None:
    for topic, known, asked in itertools.product((filled, "no-such-topic"), (-1, 0, 5), (-1, 0, 1)):
        entry = {"partition": 0, "current_leader_epoch": known, "leader_epoch": asked}
        topics = [{"topic": topic, "partitions": [entry]}]
        both.same("offset_for_leader_epoch", version, topics=topics)


@versions("delete_records")
def test_delete_records(both: BothBrokers, new: Any, version: int) -> None:
    topic, compacted = new(), new(cleanup_policy="compact")
    for number in range(5):
        data = batch(3, timestamp=_NOW + number * 1000)
        both.same("produce", 9, **produce_fields(topic, data, 9))
    both.same("produce", 9, **produce_fields(compacted, batch(), 9))

    def delete(name: str, offset: int, partition: int = 0) -> None:
        entry = {"partition_index": partition, "offset": offset}
        topics = [{"name": name, "partitions": [entry]}]
        both.same("delete_records", version, topics=topics, timeout_ms=30_000)

    for offset in (16, -2, 0, 5, 2):
        delete(topic, offset)
    for offset in (2, 5, 7):
        both.same("fetch", 11, **fetch_fields(topic, offset, 11))
    for timestamp in (-2, -3, 0, _NOW):
        both.same("list_offsets", 7, **list_fields(topic, timestamp))
    delete(topic, -1)
    for timestamp in (-1, -2, 0):
        both.same("list_offsets", 7, **list_fields(topic, timestamp))
    delete(topic, 0, 9)
    delete("no-such-topic", 0)
    delete(compacted, 1)


def test_producer_ids(both: BothBrokers) -> None:
    """New ones are each broker's own; which requests get one is the same."""
    api = _APIS["init_producer_id"]
    asked = {"transactional_id": None, "transaction_timeout_ms": 1000}
    for version in range(api.min_version, api.max_version + 1):
        known = [{}] if version < 3 else [{}, *_known_producers()]
        for producer in known:
            ours, theirs = both.ask("init_producer_id", version, **asked, **producer)
            assert ours["error_code"] == theirs["error_code"]
            assert ours["producer_epoch"] == theirs["producer_epoch"]
            assert (ours["producer_id"] >= 0) == (theirs["producer_id"] >= 0)


def _known_producers() -> list[Message]:
    pairs = ((5, 3), (5, -1), (-1, 3), (5, 32766))
    return [{"producer_id": known, "producer_epoch": epoch} for known, epoch in pairs]


DIFFERENT = [
    ("bytes after the batch", batch() + b"xx", 87, 0, "they drop them silently"),
    ("unknown codec", changed(batch(), 21, ">h", 7), 2, -1, "UNKNOWN_SERVER_ERROR says nothing"),
    (
        "producer without an epoch",
        batch(producer_id=5, producer_epoch=-1, base_sequence=0),
        *(87, 0, "nobody could fence it"),
    ),
]


def _codes(both: BothBrokers, topic: str, data: bytes) -> tuple[int, int]:
    ours, theirs = both.ask("produce", 9, **produce_fields(topic, data, 9))
    return _code(ours), _code(theirs)


@pytest.mark.parametrize("name", odd_batches.MISLABELLED)
def test_where_mislabelled_batches_differ(both: BothBrokers, plain: str, name: str) -> None:
    """UNKNOWN_SERVER_ERROR says nothing; to clients both say that trying again is no use."""
    assert _codes(both, plain, odd_batches.MISLABELLED[name]) == (87, -1)


@pytest.mark.parametrize("name", {**odd_batches.BROKEN_INSIDE, **odd_batches.BROKEN_LATER})
def test_where_broken_records_differ(both: BothBrokers, plain: str, new: Any, name: str) -> None:
    """We neither decompress nor unpack what we store, unless the topic's rules ask for it."""
    data = {**odd_batches.BROKEN_INSIDE, **odd_batches.BROKEN_LATER}[name]
    ours, theirs = _codes(both, plain, data)
    assert ours == 0
    assert theirs in (87, -1) or "length" in name
    assert _codes(both, new(cleanup_policy="compact"), data) == (87, theirs)


@pytest.mark.parametrize(("name", "data", "ours", "theirs", "why"), DIFFERENT)
def test_where_produce_differs(
    both: BothBrokers, new: Any, name: str, data: bytes, ours: int, theirs: int, why: str
) -> None:
    answers = both.ask("produce", 9, **produce_fields(new(), data, 9))
    assert [_code(answer) for answer in answers] == [ours, theirs], f"{name}: {why}"


def test_where_repeated_batches_differ(both: BothBrokers, new: Any) -> None:
    """They tell the time of the first copy as log append time, which makes the Java client think
    that the topic has that kind of times."""
    data = batch(producer_id=9, producer_epoch=0, base_sequence=0)
    fields = produce_fields(new(), data, 9)
    both.same("produce", 9, **fields)
    ours, theirs = both.ask("produce", 9, **fields)
    (mine,), (other,) = (answer["responses"][0]["partition_responses"] for answer in (ours, theirs))
    assert mine == {**other, "log_append_time_ms": -1}
    assert other["log_append_time_ms"] == "a log_append_time_ms"


def test_where_limits_end_a_fetch_differs(both: BothBrokers, filled: str) -> None:
    """We end with a whole batch; they cut the last one where the limit is."""
    for limit in ({"max_bytes": 300}, {"entry": {"partition_max_bytes": 300}}):
        ours, theirs = both.ask("fetch", 12, **fetch_fields(filled, 0, 12, **limit))
        mine, other = (
            answer["responses"][0]["partitions"][0]["records"] for answer in (ours, theirs)
        )
        assert len(mine) < len(other) == 300
        assert other.startswith(mine)


def test_where_the_largest_timestamp_differs(both: BothBrokers, new: Any) -> None:
    """They answer with a record that was deleted."""
    topic = new()
    both.same("produce", 9, **produce_fields(topic, batch(3), 9))
    entry = {"partition_index": 0, "offset": -1}
    topics = [{"name": topic, "partitions": [entry]}]
    both.same("delete_records", 2, topics=topics, timeout_ms=30_000)
    ours, theirs = both.ask("list_offsets", 7, **list_fields(topic, -3))
    offsets = [answer["topics"][0]["partitions"][0]["offset"] for answer in (ours, theirs)]
    assert offsets == [-1, 2]


def test_where_transactions_differ(both: BothBrokers, new: Any) -> None:
    """There are none here yet: refused at once, with an error that every client takes as fatal."""
    fields = {**produce_fields(new(), batch(), 9), "transactional_id": "t"}
    ours, _ = both.ask("produce", 9, **fields)
    assert _code(ours) == 53
    ours, _ = both.ask("init_producer_id", 4, transactional_id="t", transaction_timeout_ms=1000)
    assert ours["error_code"] == 53
