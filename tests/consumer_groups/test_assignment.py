"""Sharing partitions: every partition once, only to readers, evenly, with few moves."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from tidelog.consumer_groups.consumer.assignment import (
    Assignment,
    range_assign,
    sticky_assign,
)

TOPICS = {"a": 4, "b": 3, "c": 1}

topic_counts = st.dictionaries(st.sampled_from("abcde"), st.integers(0, 9), max_size=5)
subscriptions = st.dictionaries(
    st.sampled_from([f"m{n}" for n in range(7)]),
    st.frozensets(st.sampled_from("abcdef"), max_size=4),
    max_size=7,
)
Members = dict[str, frozenset[str]]


def check_complete(members: Members, topics: dict[str, int], assigned: Assignment[str]) -> None:
    """Every partition of a subscribed topic has one owner, who reads the topic."""
    assert assigned.keys() == members.keys()
    places = [place for places in assigned.values() for place in places]
    subscribed = {topic for topics_read in members.values() for topic in topics_read}
    assert sorted(places) == [
        (topic, partition)
        for topic in sorted(topics)
        if topic in subscribed
        for partition in range(topics[topic])
    ]
    for member, owned in assigned.items():
        assert {topic for topic, _ in owned} <= members[member]


@given(subscriptions, topic_counts)
def test_all_are_complete(members: Members, topics: dict[str, int]) -> None:
    check_complete(members, topics, range_assign(members, topics))
    check_complete(members, topics, sticky_assign(members, topics, {}))


@given(
    subscriptions,
    topic_counts,
    st.dictionaries(
        st.sampled_from([f"m{n}" for n in range(9)]),
        st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 12)), max_size=9),
    ),
)
@example({"m0": frozenset("a")}, {"a": 1}, {"m0": [("a", 0), ("a", 0)]})
def test_sticky_makes_the_best_of_any_past(
    members: Members, topics: dict[str, int], owned: dict[str, list[tuple[str, int]]]
) -> None:
    assigned = sticky_assign(members, topics, owned)
    check_complete(members, topics, assigned)
    for member, places in assigned.items():
        for topic, _ in places:
            least = min(len(assigned[other]) for other in members if topic in members[other])
            assert len(assigned[member]) <= least + 1
    assert sticky_assign(members, topics, assigned) == {
        member: sorted(places) for member, places in assigned.items()
    }


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 12))
def test_sticky_moves_no_more_than_it_must(partitions: int, before: int, after: int) -> None:
    topics = {"t": partitions}
    first = sticky_assign({f"m{n:02}": {"t"} for n in range(before)}, topics, {})
    second = sticky_assign({f"m{n:02}": {"t"} for n in range(after)}, topics, first)
    kept = sum(len(set(first.get(m, ())) & set(places)) for m, places in second.items())
    sizes = sorted(map(len, second.values()), reverse=True)
    best = sum(
        min(old, new)
        for old, new in zip(
            sorted((len(first[m]) for m in first if m in second), reverse=True),
            sizes,
            strict=False,
        )
    )
    assert kept == best


def test_range_keeps_topics_together() -> None:
    assigned = range_assign({"x": {"a", "b"}, "y": {"a", "b"}}, TOPICS)
    assert assigned == {
        "x": [("a", 0), ("a", 1), ("b", 0), ("b", 1)],
        "y": [("a", 2), ("a", 3), ("b", 2)],
    }


def test_nobody_gets_nothing() -> None:
    assert range_assign({}, TOPICS) == {}
    assert range_assign({"x": set()}, TOPICS) == {"x": []}
