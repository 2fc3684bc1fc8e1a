"""Records of the offsets topic: against bytes that Apache Kafka 4.3 wrote, and every version."""

from __future__ import annotations

import contextlib
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidelog.consumer_groups.classic.consumer_protocol import (
    Subscription,
    decode_assignment,
    decode_subscription,
)
from tidelog.consumer_groups.records import encoding
from tidelog.consumer_groups.records.consumer_group_records import (
    ClassicMetadata,
    CurrentAssignment,
    CurrentRecord,
    GroupEpoch,
    GroupEpochRecord,
    MemberState,
    MemberSubscription,
    RegexRecord,
    ResolvedRegex,
    SubscriptionRecord,
    TargetEpoch,
    TargetEpochRecord,
    TargetRecord,
)
from tidelog.consumer_groups.records.group_records import (
    GroupMember,
    GroupMetadata,
    GroupRecord,
    KeyValue,
    OffsetRecord,
    StateRecord,
    decode,
    encode,
)
from tidelog.consumer_groups.records.offsets import CommittedOffset
from tidelog.storage.batches.record import Record
from tidelog.storage.batches.record_batch import batches, decode_records

# Written by Apache Kafka 4.3.1 for confluent-kafka 2.16: a commit without membership, a static
# member of a classic group and one of a new one, each committing and closing.
KAFKA_LOG = Path(__file__).parent / "data" / "kafka-4.3-offsets.log"


def kafka_records() -> list[Record]:
    data = KAFKA_LOG.read_bytes()
    return [
        record
        for position, _ in batches(data)
        for record in decode_records(data, position=position)
    ]


class TestAgainstKafka:
    def test_committed_offsets(self) -> None:
        decoded = [decode(record.key, record.value) for record in kafka_records()]
        offsets = [record for record in decoded if isinstance(record, OffsetRecord)]
        assert len(offsets) == 9
        assert offsets[0] == OffsetRecord(
            "simple",
            "t1",
            0,
            CommittedOffset(
                offset=5,
                leader_epoch=-1,
                metadata="meta é\0",
                commit_timestamp_ms=1795465718003,
                topic_id=UUID("2c8ff43d-8188-440c-841d-3a70a313efe7"),
            ),
        )
        assert {record.group for record in offsets} == {"simple", "g-classic", "g-consumer"}

    def test_groups(self) -> None:
        decoded = [decode(record.key, record.value) for record in kafka_records()]
        new, stable, empty = (record for record in decoded if isinstance(record, GroupRecord))
        assert new == GroupRecord("g-classic", GroupMetadata("", 0, None, None, 1795465718086, ()))
        assert empty == GroupRecord(
            "g-classic", GroupMetadata("consumer", 2, None, None, 1795465763266, ())
        )
        assert stable.value is not None
        (member,) = stable.value.members
        assert stable.value._replace(members=()) == GroupMetadata(
            protocol_type="consumer",
            generation=1,
            protocol="range",
            leader=member.member_id,
            state_timestamp_ms=1795465718092,
            members=(),
        )
        assert (member.instance_id, member.client_id) == ("inst1", "rdkafka")
        assert (member.client_host, member.session_timeout_ms) == ("/127.0.0.1", 45_000)
        assert member.rebalance_timeout_ms == 300_000
        assert decode_subscription(member.subscription) == Subscription(("t1",))
        assert decode_assignment(member.assignment) == (("t1", 0), ("t1", 1))

    def test_our_bytes_are_theirs(self) -> None:
        compared = 0
        for record in kafka_records():
            decoded = decode(record.key, record.value)
            if decoded is not None:
                assert encode(decoded) == KeyValue(record.key or b"", record.value)
                compared += 1
        assert compared == 21

    def test_a_group_of_the_new_protocol(self) -> None:
        decoded = [decode(record.key, record.value) for record in kafka_records()]
        topic_id = UUID("2c8ff43d-8188-440c-841d-3a70a313efe7")
        places = {(topic_id, 0): 2, (topic_id, 1): 2}
        member_id = "JkL90amMS2yyuZOGtseyJA"
        assert decoded[7:12] == [
            SubscriptionRecord(
                "g-consumer",
                member_id,
                MemberSubscription(None, None, "rdkafka", "/127.0.0.1", ("t1",), "", 300_000, None),
            ),
            GroupEpochRecord("g-consumer", GroupEpoch(2, 779880398743129766)),
            TargetRecord("g-consumer", member_id, frozenset(places)),
            TargetEpochRecord("g-consumer", TargetEpoch(2, 1795465718359)),
            CurrentRecord(
                "g-consumer", member_id, CurrentAssignment(2, 0, MemberState.STABLE, places, {})
            ),
        ]
        assert decoded[16:20] == [
            CurrentRecord("g-consumer", member_id, None),
            TargetRecord("g-consumer", member_id, None),
            SubscriptionRecord("g-consumer", member_id, None),
            GroupEpochRecord("g-consumer", GroupEpoch(3)),
        ]

    @pytest.mark.parametrize("kind", [4, 9, 17, 32_000])
    def test_kinds_that_are_not_known_here_are_passed_over(self, kind: int) -> None:
        assert decode(encoding.int16(kind) + encoding.string("g"), b"\0\0") is None


class TestOlderVersions:
    KEY = b"\x00\x00" + encoding.string("g") + encoding.string("t") + encoding.int32(3)

    def offset(self, value: bytes) -> CommittedOffset:
        record = decode(self.KEY, value)
        assert isinstance(record, OffsetRecord)
        assert record[:3] == ("g", "t", 3)
        assert record.value is not None
        return record.value

    @pytest.mark.parametrize("version", [0, 2])
    def test_offsets_without_leader_epoch(self, version: int) -> None:
        value = (
            encoding.int16(version)
            + encoding.int64(7)
            + encoding.string("note")
            + encoding.int64(99)
        )
        assert self.offset(value) == CommittedOffset(7, -1, "note", 99)

    def test_offsets_with_their_own_expiry(self) -> None:
        committed = CommittedOffset(7, -1, "note", 99, 1_099)
        assert self.offset(encode(OffsetRecord("g", "t", 3, committed)).value or b"") == committed

    def test_offsets_with_leader_epoch(self) -> None:
        value = (
            encoding.int16(3)
            + encoding.int64(7)
            + encoding.int32(4)
            + encoding.string("note")
            + encoding.int64(99)
        )
        assert self.offset(value) == CommittedOffset(7, 4, "note", 99)

    @pytest.mark.parametrize("version", [0, 1, 2, 3])
    def test_groups(self, version: int) -> None:
        member = (
            encoding.string("m")
            + (encoding.nullable_string("i") if version >= 3 else b"")
            + encoding.string("client")
            + encoding.string("/host")
            + (encoding.int32(60) if version >= 1 else b"")
            + encoding.int32(10)
            + encoding.bytes_field(b"sub")
            + encoding.bytes_field(b"ass")
        )
        value = (
            encoding.int16(version)
            + encoding.string("consumer")
            + encoding.int32(5)
            + encoding.nullable_string("range")
            + encoding.nullable_string(None)
            + (encoding.int64(123) if version >= 2 else b"")
            + encoding.array([member])
        )
        assert decode(encode(GroupRecord("g", None)).key, value) == GroupRecord(
            "g",
            GroupMetadata(
                "consumer",
                5,
                "range",
                None,
                123 if version >= 2 else -1,
                (
                    GroupMember(
                        "m",
                        "i" if version >= 3 else None,
                        "client",
                        "/host",
                        60 if version >= 1 else 10,
                        10,
                        b"sub",
                        b"ass",
                    ),
                ),
            ),
        )

    def test_flexible_groups(self) -> None:
        member = (
            encoding.compact_string("m")
            + encoding.compact_nullable_string(None)
            + encoding.compact_string("client")
            + encoding.compact_string("/host")
            + encoding.int32(60)
            + encoding.int32(10)
            + encoding.compact_bytes(b"sub")
            + encoding.compact_bytes(b"ass")
            + encoding.tagged_fields({})
        )
        value = (
            encoding.int16(4)
            + encoding.compact_string("consumer")
            + encoding.int32(5)
            + encoding.compact_nullable_string("range")
            + encoding.compact_nullable_string("m")
            + encoding.int64(123)
            + encoding.compact_array([member])
            + encoding.tagged_fields({7: b"later"})
        )
        record = decode(encode(GroupRecord("g", None)).key, value)
        assert isinstance(record, GroupRecord)
        assert record.value == GroupMetadata(
            "consumer",
            5,
            "range",
            "m",
            123,
            (GroupMember("m", None, "client", "/host", 60, 10, b"sub", b"ass"),),
        )

    @pytest.mark.parametrize("key", [KEY, b"\x00\x02\x00\x01g"])
    def test_versions_of_the_future_are_refused(self, key: bytes) -> None:
        with pytest.raises(ValueError, match="not known"):
            decode(key, b"\x00\x05" + bytes(40))


names = st.text(min_size=1, max_size=20)
int32s = st.integers(0, 2**31 - 1)
int64s = st.integers(0, 2**63 - 1)


@given(
    st.builds(
        OffsetRecord,
        names,
        names,
        int32s,
        st.none()
        | st.builds(
            CommittedOffset,
            int64s,
            st.integers(-1, 2**31 - 1),
            st.text(max_size=200),
            int64s,
            st.just(-1),
            st.none() | st.uuids(version=4),
        ),
    )
)
def test_offsets_come_back_as_they_were(record: OffsetRecord) -> None:
    assert decode(*encode(record)) == record


members = st.builds(
    GroupMember, names, st.none() | names, names, names, int32s, int32s, st.binary(), st.binary()
)


@given(
    st.builds(
        GroupRecord,
        names,
        st.none()
        | st.builds(
            GroupMetadata,
            names,
            int32s,
            st.none() | names,
            st.none() | names,
            int64s,
            st.lists(members, max_size=3).map(tuple),
        ),
    )
)
def test_groups_come_back_as_they_were(record: GroupRecord) -> None:
    assert decode(*encode(record)) == record


places = st.tuples(st.uuids(version=4), int32s)
texts = st.none() | names
subscriptions = st.builds(
    MemberSubscription,
    texts,
    texts,
    names,
    names,
    st.lists(names, max_size=3).map(tuple),
    texts,
    int32s,
    texts,
    st.none()
    | st.builds(
        ClassicMetadata,
        int32s,
        st.lists(st.tuples(names, st.binary()), max_size=2).map(tuple),
    ),
)
assignments = st.builds(
    CurrentAssignment,
    int32s,
    int32s,
    st.sampled_from(MemberState),
    st.dictionaries(places, int32s, max_size=4),
    st.dictionaries(places, int32s, max_size=4),
)
regexes = st.builds(ResolvedRegex, st.lists(names, max_size=3).map(tuple), int64s, int64s)


@given(
    st.builds(GroupEpochRecord, names, st.none() | st.builds(GroupEpoch, int32s, int64s))
    | st.builds(TargetEpochRecord, names, st.none() | st.builds(TargetEpoch, int32s, int64s))
    | st.builds(SubscriptionRecord, names, names, st.none() | subscriptions)
    | st.builds(TargetRecord, names, names, st.none() | st.frozensets(places, max_size=4))
    | st.builds(CurrentRecord, names, names, st.none() | assignments)
    | st.builds(RegexRecord, names, names, st.none() | regexes)
)
def test_groups_of_the_new_protocol_come_back_as_they_were(record: StateRecord) -> None:
    assert decode(*encode(record)) == record


@given(st.integers(0, 16), st.binary(max_size=60), st.binary(max_size=60))
def test_bad_bytes_are_told_by_one_error(kind: int, key: bytes, value: bytes) -> None:
    with contextlib.suppress(ValueError):
        decode(encoding.int16(kind) + key, value)
