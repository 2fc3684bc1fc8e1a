"""The administrative calls of four libraries: topics, settings, records, groups, offsets."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.support.broker_process import BrokerProcess
from tests.support.http_member import HttpMember
from tests.support.kafka_clients.aio_admin import AiokafkaAdmin
from tests.support.kafka_clients.contract import KafkaAdmin, Message
from tests.support.kafka_clients.every import OpenClients
from tests.support.kafka_clients.every_admin import ADMINS
from tests.support.kafka_clients.kafka_python_admin import KafkaPythonAdmin
from tests.support.kafka_clients.kafkajs import KafkajsMissing
from tests.support.kafka_clients.kafkajs_admin import KafkajsAdmin


@pytest.fixture(scope="module", params=ADMINS)
def admin(broker: BrokerProcess, request: pytest.FixtureRequest) -> Iterator[KafkaAdmin]:
    try:
        opened = ADMINS[request.param](broker.kafka)
    except KafkajsMissing as error:
        pytest.skip(str(error))
    yield opened
    opened.close()


def test_topics_come_grow_and_go(admin: KafkaAdmin, topic: str) -> None:
    name = f"{topic}-admin"
    admin.create_topic(name, 2, {"retention.ms": "1234567"})
    assert name in admin.topics()
    assert admin.partitions(name) == 2
    with pytest.raises(Exception, match=r"(?i)already.?exists|exists already"):
        admin.create_topic(name, 2, {})
    admin.add_partitions(name, 5)
    assert admin.partitions(name) == 5
    with pytest.raises(Exception, match=r"(?i)partitions"):
        admin.add_partitions(name, 4)
    admin.delete_topic(name)
    assert name not in admin.topics()
    with pytest.raises(Exception, match=r"(?i)unknown.?topic|this server does not host"):
        admin.delete_topic(name)


def test_settings_of_a_topic(admin: KafkaAdmin, topic: str) -> None:
    name = f"{topic}-admin"
    admin.create_topic(name, 1, {"retention.ms": "1234567", "cleanup.policy": "compact"})
    before = admin.configs(name)
    assert (before["retention.ms"], before["cleanup.policy"]) == ("1234567", "compact")
    admin.alter_config(name, "retention.ms", "7654321")
    after = admin.configs(name)
    kept = "delete" if isinstance(admin, KafkajsAdmin | AiokafkaAdmin) else "compact"
    assert (after["retention.ms"], after["cleanup.policy"]) == ("7654321", kept)
    with pytest.raises(Exception, match=r"(?i)config|retention\.ms"):
        admin.alter_config(name, "retention.ms", "soon")
    assert admin.configs(name)["retention.ms"] == "7654321"


def test_records_before_an_offset_are_deleted(
    admin: KafkaAdmin, single: str, clients: OpenClients, http: httpx.Client
) -> None:
    clients["confluent-kafka"].produce(single, [Message(b"%d" % n) for n in range(10)])
    if isinstance(admin, KafkajsAdmin):
        pytest.skip("kafkajs cannot, with any broker")
    admin.delete_records(single, 0, 4)
    assert http.get(f"/v1/topics/{single}").json()["partitions"][0]["start_offset"] == 4
    got = clients["kafka-python"].consume(single, 6)
    assert [message.offset for message in got] == list(range(4, 10))


def test_groups_are_shown_with_their_offsets(
    admin: KafkaAdmin, single: str, clients: OpenClients
) -> None:
    group = f"{single}-group"
    clients["confluent-kafka"].produce(single, [Message(b"%d" % n) for n in range(10)])
    with clients["aiokafka"].session(single, group) as session:
        session.read(7)
        session.commit()
        assert group in admin.groups()
        assert admin.group(group) == ("stable", 1)
    assert admin.group(group) == ("empty", 0)
    assert admin.offsets(group, single) == {0: 7}


def test_groups_of_http_are_empty_when_nobody_is_in_them(
    admin: KafkaAdmin, single: str, http: httpx.Client
) -> None:
    """Also for those that know the classic protocol alone."""
    group = f"{single}-group"
    member = HttpMember(http, group, single)
    member.poll()
    member.poll()
    member.leave()
    assert group in admin.groups()
    assert admin.group(group) == ("empty", 0)
    assert admin.offsets(group, single) == {0: 0}


def test_groups_are_sent_back_and_deleted(
    admin: KafkaAdmin, single: str, clients: OpenClients
) -> None:
    if isinstance(admin, AiokafkaAdmin):
        pytest.skip("aiokafka has no such calls")
    group = f"{single}-group"
    clients["confluent-kafka"].produce(single, [Message(b"%d" % n) for n in range(10)])
    with clients["aiokafka"].session(single, group) as session:
        session.read(7)
        session.commit()
        with pytest.raises(Exception, match=r"(?i)non?.?empty|delet"):
            admin.delete_group(group)
    admin.set_offset(group, single, 0, 3)
    assert admin.offsets(group, single) == {0: 3}
    with clients["aiokafka"].session(single, group) as session:
        assert [message.offset for message in session.read(2)] == [3, 4]
    admin.delete_group(group)
    assert group not in admin.groups()


def test_the_cluster_is_one_broker_at_the_address_in_use(
    admin: KafkaAdmin, broker: BrokerProcess
) -> None:
    assert admin.brokers() == [broker.kafka]


def test_log_directories(broker: BrokerProcess, single: str, clients: OpenClients) -> None:
    admin = KafkaPythonAdmin(broker.kafka)
    try:
        assert admin.log_bytes(single) == 0
        clients["confluent-kafka"].produce(single, [Message(bytes(1000))])
        files = (broker.data_dir / f"{single}-0").glob("*.log")
        assert admin.log_bytes(single) == sum(path.stat().st_size for path in files) > 1000
    finally:
        admin.close()
