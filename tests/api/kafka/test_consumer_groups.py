"""The new group protocol (KIP-848) over the wire: what is answered, also by Apache Kafka.

Requests and responses go through kio's own encoder and decoder of both APIs.
"""

from __future__ import annotations

import importlib
import io
import socket
import uuid
from contextlib import closing
from datetime import timedelta
from typing import Any

import httpx
import pytest
from kio.serial import entity_reader, entity_writer
from kio.static.primitive import i32Timedelta

from tests.support.apache_kafka import ApacheKafkaBroker
from tests.support.broker_process import BrokerProcess
from tests.support.kafka_wire import Wire

NOT_YET = (14, 15, 16)
"""Apache Kafka makes its offsets topic when somebody first asks for a coordinator."""
HEARTBEAT, DESCRIBE = ("consumer_group_heartbeat", 68), ("consumer_group_describe", 69)


def ask(address: str, api: tuple[str, int], version: int, **fields: Any) -> Any:
    """The response to one request on a connection of its own."""
    name, key = api
    request = importlib.import_module(f"kio.schema.{name}.v{version}.request")
    response = importlib.import_module(f"kio.schema.{name}.v{version}.response")
    class_name = "".join(part.capitalize() for part in name.split("_"))
    body = io.BytesIO()
    entity = getattr(request, f"{class_name}Request")
    entity_writer(entity)(body, entity(**fields))
    head = key.to_bytes(2, "big") + version.to_bytes(2, "big") + b"\0\0\0\7\0\4test\0"
    frame = head + body.getvalue()
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), 30) as connection:
        stream = connection.makefile("rwb")
        stream.write(len(frame).to_bytes(4, "big") + frame)
        stream.flush()
        answer = stream.read(int.from_bytes(stream.read(4), "big"))
    assert answer[:5] == b"\0\0\0\7\0"
    found, size = entity_reader(getattr(response, f"{class_name}Response"))(answer, 5)
    assert size == len(answer) - 5
    return found


def heartbeat(address: str, group: str, version: int = 1, **changes: Any) -> Any:
    """A heartbeat of a member that joins, unless it is told otherwise."""
    fields: dict[str, Any] = {
        "group_id": group,
        "member_id": "m",
        "member_epoch": 0,
        "rebalance_timeout": i32Timedelta.parse(timedelta(seconds=30)),
        "subscribed_topic_names": ("t",),
        "topic_partitions": (),
    }
    return ask(address, HEARTBEAT, version, **{**fields, **changes})


def describe(address: str, group: str, version: int = 1) -> Any:
    answer = ask(address, DESCRIBE, version, group_ids=(group,), include_authorized_operations=True)
    (found,) = answer.groups
    return found


@pytest.fixture
def group() -> str:
    return f"group-{uuid.uuid4()}"


class TestHeartbeat:
    @pytest.mark.parametrize("version", [0, 1])
    def test_a_member_has_everything_and_leaves(
        self, broker: BrokerProcess, http: httpx.Client, topic: str, group: str, version: int
    ) -> None:
        joined = heartbeat(broker.kafka, group, version, subscribed_topic_names=(topic,))
        assert (joined.error_code, joined.member_id, joined.member_epoch) == (0, "m", 2)
        assert joined.heartbeat_interval == timedelta(seconds=5)
        (assigned,) = joined.assignment.topic_partitions
        assert assigned.partitions == (0, 1, 2)
        assert str(assigned.topic_id) == http.get(f"/v1/topics/{topic}").json()["id"]
        quiet = {"rebalance_timeout": i32Timedelta.parse(timedelta(milliseconds=-1))}
        quiet |= {"subscribed_topic_names": None, "topic_partitions": None}
        lives = heartbeat(broker.kafka, group, version, member_epoch=2, **quiet)
        assert (lives.error_code, lives.member_epoch, lives.assignment) == (0, 2, None)
        left = heartbeat(broker.kafka, group, version, member_epoch=-1, **quiet)
        assert (left.error_code, left.member_epoch) == (0, -1)
        assert describe(broker.kafka, group).group_state == "Empty"

    def test_the_broker_may_name_the_member_in_version_0(
        self, broker: BrokerProcess, topic: str, group: str
    ) -> None:
        joined = heartbeat(broker.kafka, group, 0, member_id="", subscribed_topic_names=(topic,))
        assert joined.error_code == 0
        assert uuid.UUID(joined.member_id)
        assert heartbeat(broker.kafka, group, 1, member_id="").error_code == 42

    @pytest.mark.parametrize(("version", "code"), [(8, 35), (9, 0)])
    def test_a_member_commits_by_a_version_that_knows_of_epochs(
        self, broker: BrokerProcess, topic: str, group: str, version: int, code: int
    ) -> None:
        joined = heartbeat(broker.kafka, group, subscribed_topic_names=(topic,))
        committed = {"partition_index": 0, "committed_offset": 1, "committed_leader_epoch": -1}
        member = {"member_id": "m", "group_instance_id": None}
        fields = {"group_id": group, "generation_id_or_member_epoch": joined.member_epoch, **member}
        topics = [{"name": topic, "partitions": [{**committed, "committed_metadata": ""}]}]
        with closing(Wire(broker.kafka)) as wire:
            answer = wire.ask("offset_commit", version, topics=topics, **fields)
        assert answer["topics"][0]["partitions"][0]["error_code"] == code


class TestDescription:
    @pytest.mark.parametrize("version", [0, 1])
    def test_of_a_member(self, broker: BrokerProcess, topic: str, group: str, version: int) -> None:
        heartbeat(broker.kafka, group, subscribed_topic_names=(topic,))
        found = describe(broker.kafka, group, version)
        shown = (found.group_state, found.group_epoch, found.assignment_epoch, found.assignor_name)
        assert shown == ("Stable", 2, 2, "uniform")
        (member,) = found.members
        assert (member.member_id, member.member_epoch, member.client_id) == ("m", 2, "test")
        assert (member.subscribed_topic_names, member.subscribed_topic_regex) == ((topic,), "")
        (assigned,) = member.assignment.topic_partitions
        assert (assigned.topic_name, assigned.partitions) == (topic, (0, 1, 2))
        assert member.target_assignment == member.assignment
        assert getattr(member, "member_type", 1) == 1

    def test_of_what_is_no_such_group(self, broker: BrokerProcess, group: str) -> None:
        found = describe(broker.kafka, group)
        assert found.error_code == 69
        assert group in found.error_message


REFUSED: list[dict[str, Any]] = [
    {"member_id": ""},
    {"member_epoch": 5},
    {"member_epoch": -1},
    {"member_epoch": -2},
    {"member_epoch": -3},
    {"instance_id": ""},
    {"rack_id": ""},
    {"rebalance_timeout": i32Timedelta.parse(timedelta(milliseconds=-1))},
    {"subscribed_topic_names": None},
    {"topic_partitions": None},
    {"server_assignor": "none"},
    {"subscribed_topic_regex": "("},
]


@pytest.mark.xdist_group("apache_kafka_broker")
def test_apache_kafka_refuses_the_same(
    broker: BrokerProcess, apache_kafka_broker: ApacheKafkaBroker, group: str
) -> None:
    def codes(address: str) -> list[int]:
        with closing(Wire(address)) as wire:
            while wire.ask("find_coordinator", 0, key=group)["error_code"] in NOT_YET:
                pass
        while heartbeat(address, f"{group}-first").error_code in NOT_YET:
            pass
        unknown = [heartbeat(address, f"{group}-{n}", **one) for n, one in enumerate(REFUSED)]
        heartbeat(address, group)
        known = [heartbeat(address, group, **{"member_id": "n", **one}) for one in REFUSED]
        answers = [
            *unknown,
            heartbeat(address, ""),
            *known,
            heartbeat(address, group, member_epoch=7),
        ]
        return [int(answer.error_code) for answer in answers]

    assert codes(broker.kafka) == codes(apache_kafka_broker.address)
