"""Commits of partitions that are there and of some that are not, in every state of the group."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.broker_process import BrokerProcess
from tests.support.kafka_wire import Message, Wire

_GOOD, _UNKNOWN_TOPIC_OR_PARTITION, _UNKNOWN_MEMBER, _ILLEGAL_GENERATION = 0, 3, 25, 22


@pytest.fixture
def wire(broker: BrokerProcess) -> Iterator[Wire]:
    opened = Wire(broker.kafka)
    yield opened
    opened.close()


def topics(*named: str) -> list[Message]:
    """Partition 0, which each topic has, and one that none has."""
    places = [{"partition_index": index, "committed_offset": 1} for index in (0, 7)]
    return [{"name": name, "partitions": places} for name in named]


@pytest.mark.parametrize("version", range(2, 10))
@pytest.mark.parametrize(
    ("member", "code"),
    [
        ({"member_id": "", "generation_id_or_member_epoch": -1}, _GOOD),
        ({"member_id": "gone", "generation_id_or_member_epoch": 3}, _UNKNOWN_MEMBER),
    ],
)
def test_what_is_not_there_has_its_own_error(
    wire: Wire, single: str, version: int, member: Message, code: int
) -> None:
    group = f"of-{single}"
    mine = {"partition_index": 0, "committed_offset": 1}
    wire.ask("offset_commit", 7, group_id=group, topics=[{"name": single, "partitions": [mine]}])
    fields = {"group_id": group, "topics": topics(single, "no-such-topic"), **member}
    answer = wire.ask("offset_commit", version, **fields)
    codes = [[one["error_code"] for one in topic["partitions"]] for topic in answer["topics"]]
    assert codes == [[code, _UNKNOWN_TOPIC_OR_PARTITION], [_UNKNOWN_TOPIC_OR_PARTITION] * 2]


@pytest.mark.parametrize("version", range(2, 10))
def test_a_group_is_not_asked_about_nothing(wire: Wire, single: str, version: int) -> None:
    """A client that hears of an illegal generation forgets its member id and never leaves."""
    fields = {"group_id": f"of-{single}", "member_id": "m", "generation_id_or_member_epoch": 1}
    known = wire.ask("offset_commit", version, **fields, topics=topics(single))
    expected = _ILLEGAL_GENERATION if version < 9 else 69
    assert known["topics"][0]["partitions"][0]["error_code"] == expected
    gone = wire.ask("offset_commit", version, **fields, topics=topics("no-such-topic"))
    codes = {one["error_code"] for one in gone["topics"][0]["partitions"]}
    assert codes == {_UNKNOWN_TOPIC_OR_PARTITION}
