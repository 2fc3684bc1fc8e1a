"""Which topics there are when catalog and directories do not agree: every case of the decision."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tidelog.broker.catalog.catalog_copy import (
    CatalogCopy,
    Standing,
    decode_copy,
    encode_copy,
    settle,
    standing,
)
from tidelog.broker.catalog.mending import Found, FoundTopic, Mended, Said, mend, report
from tidelog.broker.catalog.topic_row import TopicRow, decode_topic, encode_topic
from tidelog.storage.local.partition_metadata import (
    decode_partition_metadata,
    encode_partition_metadata,
)
from tidelog.storage.local.sealed_text import decode_sealed, encode_sealed

A, B, C = (uuid.UUID(int=number) for number in (1, 2, 3))
OWN = {"retention.ms": "1000"}
STANDINGS: tuple[Standing, ...] = ("sound", "unnumbered", "behind", "lost")


def row(name: str, topic_id: uuid.UUID, partitions: int = 1, **how: Any) -> TopicRow:
    return TopicRow(name, topic_id, partitions, how.get("settings", {}), how.get("deleting", False))


def stated(topic: TopicRow, *partitions: int) -> FoundTopic:
    """Directories with a sound ``topic.metadata``."""
    present = frozenset(partitions or range(topic.partitions))
    return FoundTopic(topic.name, present, topic, {})


def older(name: str, *ids: uuid.UUID | None) -> FoundTopic:
    """Directories that have only ``partition.metadata``, or not even that."""
    told = {number: topic_id for number, topic_id in enumerate(ids) if topic_id is not None}
    return FoundTopic(name, frozenset(range(len(ids))), None, told)


def decide(
    rows: list[TopicRow],
    *topics: FoundTopic,
    how: Standing = "sound",
    doubtful: frozenset[uuid.UUID] = frozenset(),
    removed: frozenset[uuid.UUID] = frozenset(),
) -> Mended:
    return mend(Said(rows, doubtful, how), Found(list(topics), removed))


@pytest.mark.parametrize("how", STANDINGS)
@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([], id="unknown"),
        pytest.param([row("t", A)], id="other settings and partitions"),
        pytest.param([row("t", B, 3)], id="of an earlier topic"),
        pytest.param([row("s", A, 3, settings=OWN)], id="under another name"),
    ],
)
def test_what_stands_beside_a_log_counts(rows: list[TopicRow], how: Standing) -> None:
    topic = row("t", A, 3, settings=OWN)
    mended = decide(rows, stated(topic), how=how)
    assert mended.rows == [topic]
    assert not mended.unsettled
    assert mended.returned + mended.corrected == ["t"]


@pytest.mark.parametrize("how", ["sound", "unnumbered", "behind"])
def test_nothing_is_told_of_what_agrees(how: Standing) -> None:
    topics = [row("s", A, 3, settings=OWN), row("t", B)]
    mended = decide(topics, *(stated(topic) for topic in topics), how=how)
    assert mended == Mended(topics, [], [], [], [], [])
    assert report(mended, "", 0) == ""


def test_directories_of_an_older_version_have_the_catalogs_word() -> None:
    topic = row("t", A, 2, settings=OWN)
    for how in ("sound", "unnumbered", "behind"):
        assert decide([topic], older("t", A, A), how=how).rows == [topic]
        assert decide([topic], older("t", None, None), how=how).rows == [topic]
    damaged = decide([topic], older("t", C, C), how="sound")
    assert damaged.rows == [topic]


def test_what_an_older_catalog_does_not_know_comes_back_with_what_is_known() -> None:
    for how in ("unnumbered", "lost", "behind"):
        mended = decide([], older("t", A, None, A), how=how)
        assert mended.rows == [row("t", A, 3)]
        assert mended.returned == mended.unsettled == ["t"]
    grown = decide([row("t", A, 1, settings=OWN)], older("t", A, A), how="behind")
    assert grown.rows == [row("t", A, 2, settings=OWN)]
    again = decide([row("t", A, 1, settings=OWN)], older("t", B, B), how="behind")
    assert (again.rows, again.unsettled) == ([row("t", B, 2)], ["t"])


@pytest.mark.parametrize(
    ("found", "how"),
    [
        pytest.param(older("t", A), "sound", id="an interrupted creation"),
        pytest.param(older("t", None), "lost", id="somebody's directory"),
        pytest.param(older("__cluster_metadata", A), "lost", id="Apache Kafka's own log"),
        pytest.param(older("not a topic", A), "lost", id="no topic's name"),
        pytest.param(older("t", B), "lost", id="a copy of another topic's directory"),
    ],
)
def test_other_directories_are_nobodys(found: FoundTopic, how: Standing) -> None:
    other = row("other", B)
    mended = decide([], stated(other), found, how=how)
    assert mended.rows == [other] or how == "sound"
    assert [topic.name for topic in mended.rows] == ["other"]


def test_a_deleted_topic_does_not_come_back() -> None:
    left = frozenset((A,))
    for how in STANDINGS:
        assert not decide([], stated(row("t", A, 2)), how=how, removed=left).rows
        assert not decide([], older("t", A), how=how, removed=left).rows
        again = decide([], stated(row("t", B)), how=how, removed=left)
        assert again.rows == [row("t", B)]
    for how in ("unnumbered", "behind"):
        assert not decide([row("t", A, 2)], older("t", A), how=how, removed=left).rows
    marked = row("t", A, 2, deleting=True)
    for found in (stated(row("t", A, 2)), older("t", A, A), older("t", None)):
        mended = decide([marked], found)
        assert (mended.rows, mended.deleting) == ([], [marked])


def test_a_mark_that_may_be_a_flipped_byte_deletes_nothing() -> None:
    marked, topic = row("t", A, deleting=True), row("t", A)
    mended = decide([marked], stated(topic), doubtful=frozenset((A,)))
    assert (mended.rows, mended.deleting) == ([topic], [])
    mended = decide([marked], older("t", A), doubtful=frozenset((A,)))
    assert (mended.rows, mended.deleting) == ([], [marked])


def test_a_topic_without_directories() -> None:
    topic = row("t", A, 2)
    kept = decide([topic])
    assert (kept.rows, kept.dropped) == ([topic], [])
    assert decide([topic], stated(topic, 0)).rows == [topic]
    gone = decide([topic], how="behind")
    assert (gone.rows, gone.dropped) == ([], ["t"])
    assert "t" in report(gone, "it is older", 0)


def test_no_two_topics_have_one_id() -> None:
    mended = decide([], older("a", A), older("b", A), how="lost")
    assert [topic.name for topic in mended.rows] == ["a"]
    mended = decide([row("b", A)], older("a", A), older("b", A), how="unnumbered")
    assert [topic.name for topic in mended.rows] == ["b"]


def test_the_report_is_one_line_that_says_what_is_not_known() -> None:
    mended = decide([], older("old", A), stated(row("new", B, settings=OWN)), how="lost")
    line = report(mended, "catalog.sqlite is missing", None)
    assert line.splitlines() == [line]
    rebuilt, missing = line.split("; not rebuilt: ")
    assert "topics new, old" in rebuilt
    assert "settings of topics old" in missing
    assert "settings of groups" in missing
    assert "settings of 2 groups" in report(mended, "catalog.sqlite is missing", 2)
    many = decide([], *(older(f"t{n:03}", uuid.UUID(int=n + 1)) for n in range(500)), how="lost")
    assert "and 480 more" in report(many, "it is missing", 0)


# The files


def flips(data: bytes) -> list[bytes]:
    """Every content that differs in one byte, by one bit and by all."""
    return [
        data[:at] + bytes((data[at] ^ bits,)) + data[at + 1 :]
        for at in range(len(data))
        for bits in (1, 0x80, 0xFF)
    ]


def test_a_topics_file_proves_that_it_is_whole() -> None:
    topic = row("t", A, 3, settings={"retention.wait.for.groups": "ä\nb", **OWN})
    data = encode_topic(topic)
    assert decode_topic(data) == topic
    damaged = [*flips(data), *(data[:size] for size in range(len(data))), bytes(len(data))]
    for one in (*damaged, b"", encode_sealed({}), encode_sealed({"version": "1"})):
        with pytest.raises(ValueError):  # noqa: PT011
            decode_topic(one)


def test_the_catalogs_copy_proves_that_it_is_whole() -> None:
    copy = CatalogCopy(
        7,
        3000,
        {"grüße\n": {"consumer.session.timeout.ms": "50000"}},
        {"for_all": {"log.retention.ms": "5"}, "own": {"cors.origins": "grüße"}},
    )
    data = encode_copy(copy)
    assert decode_copy(data) == copy
    for one in (*flips(data), data[:-1], bytes(len(data)), encode_sealed({"version": "0"})):
        with pytest.raises(ValueError):  # noqa: PT011
            decode_copy(one)


def test_partition_metadata_is_apache_kafkas() -> None:
    data = encode_partition_metadata(A)
    assert data == b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ\n"
    assert decode_partition_metadata(data) == decode_partition_metadata(data.rstrip()) == A
    for one in (
        b"",
        data[:20],
        bytes(len(data)),
        data.replace(b"AQ", b"AA"),
        data.replace(b"A", b"!"),
    ):
        with pytest.raises(ValueError):  # noqa: PT011
            decode_partition_metadata(one)


def test_what_is_sealed_is_read_as_written() -> None:
    fields = {"a": "b: c", "empty": "", "checksum": "none"}
    assert decode_sealed(encode_sealed(fields)) == fields


def test_the_newer_of_catalog_and_copy_counts() -> None:
    old, new = CatalogCopy(3, 5000, {"g": OWN}, {"own": OWN}), CatalogCopy(4, 1000, {}, {})
    assert standing(old, new) == "behind"
    assert standing(new, old) == standing(new, None) == standing(new, new) == "sound"
    assert standing(None, new) == standing(None, None) == "lost"
    assert standing(CatalogCopy(None, 1, {}, {}), None) == "unnumbered"
    assert standing(CatalogCopy(None, 1, {}, {}), old) == "behind"
    assert settle(old, new) == settle(new, old) == CatalogCopy(4, 5000, {}, {})
    assert settle(CatalogCopy(4, 2000, {"flipped": OWN}, {}), new).groups == {}
    assert settle(None, new) == new
    assert settle(None, None) == CatalogCopy(None, None, {}, {})
