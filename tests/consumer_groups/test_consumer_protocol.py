"""Subscriptions and assignments: round trips, bytes of other clients, bytes of nobody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kio.schema.consumer_protocol_assignment.v1.data import ConsumerProtocolAssignment
from kio.schema.consumer_protocol_subscription.v2.data import ConsumerProtocolSubscription
from kio.serial import entity_reader

from tidelog.consumer_groups.classic.consumer_protocol import (
    Subscription,
    decode_assignment,
    decode_subscription,
    encode_assignment,
    encode_subscription,
    topics_of,
)

places = st.lists(
    st.tuples(st.text(max_size=5), st.integers(0, 2**31 - 1)), unique=True, max_size=9
).map(sorted)


@given(
    st.builds(
        Subscription,
        st.lists(st.text(max_size=9)).map(tuple),
        places.map(tuple),
        st.integers(-1, 2**31 - 1),
        st.binary(),
    )
)
def test_subscriptions_come_back_as_they_were(subscription: Subscription) -> None:
    assert decode_subscription(encode_subscription(subscription)) == subscription
    assert topics_of([encode_subscription(subscription)]) == frozenset(subscription.topics)


@given(places)
def test_assignments_come_back_as_they_were(partitions: list[tuple[str, int]]) -> None:
    assert decode_assignment(encode_assignment(partitions)) == tuple(partitions)


def test_kafkas_schemas_read_our_bytes() -> None:
    assignment = encode_assignment([("a", 0), ("a", 2), ("b", 1)])
    theirs, size = entity_reader(ConsumerProtocolAssignment)(assignment, 2)
    assert size == len(assignment) - 2
    assert [(part.topic, part.partitions) for part in theirs.assigned_partitions] == [
        ("a", (0, 2)),
        ("b", (1,)),
    ]
    subscription = encode_subscription(Subscription(("a", "b"), (("a", 3),), 7, b"data"))
    ours, size = entity_reader(ConsumerProtocolSubscription)(subscription, 2)
    assert size == len(subscription) - 2
    assert (ours.topics, ours.generation_id, ours.user_data) == (("a", "b"), 7, b"data")


def test_no_assignment_is_no_partition() -> None:
    assert decode_assignment(b"") == ()


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\0\0\0\7", b"connect metadata"])
def test_what_is_no_consumers_is_told(data: bytes) -> None:
    with pytest.raises(ValueError, match="fit"):
        decode_subscription(data)
    assert topics_of([data]) is None
