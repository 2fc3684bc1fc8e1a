"""Administration of clusters, of a cluster of one: what needs several brokers is told so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kafka import KafkaAdminClient, TopicPartition, TopicPartitionReplica
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ResourcePattern,
    ResourceType,
)
from kafka.errors import (
    ElectionNotNeededError,
    InvalidReplicationAssignmentError,
    LogDirNotFoundError,
    NoError,
    NoReassignmentInProgressError,
    SecurityDisabledError,
    UnknownTopicOrPartitionError,
)

from tests.support.broker_process import BrokerProcess

HERE, ELSEWHERE = 1, 2


@pytest.fixture(scope="module")
def admin(broker: BrokerProcess) -> Iterator[KafkaAdminClient]:
    client = KafkaAdminClient(bootstrap_servers=broker.kafka)
    yield client
    client.close()


def test_every_partition_has_its_preferred_leader(admin: KafkaAdminClient, topic: str) -> None:
    answer = admin.elect_leaders(0, {topic: [0, 9]}, raise_errors=False)
    ((name, partitions),) = ((one[0], one[1]) for one in answer.replica_election_results)
    assert name == topic
    assert [(one[0], one[1]) for one in partitions] == [
        (0, ElectionNotNeededError.errno),
        (9, UnknownTopicOrPartitionError.errno),
    ]


def test_partitions_can_only_be_where_they_are(admin: KafkaAdminClient, topic: str) -> None:
    partition = TopicPartition(topic, 0)

    def reassigned(where: TopicPartition, replicas: list[int] | None) -> object:
        return admin.alter_partition_reassignments({where: replicas})[where]

    assert reassigned(partition, [HERE]) is None
    assert reassigned(partition, [ELSEWHERE]) is InvalidReplicationAssignmentError
    assert reassigned(partition, None) is NoReassignmentInProgressError
    unknown = TopicPartition(topic, 9)
    assert reassigned(unknown, [HERE]) is UnknownTopicOrPartitionError
    assert admin.list_partition_reassignments([partition]) == {}


def test_replicas_can_only_stay_in_the_data_directory(
    admin: KafkaAdminClient, broker: BrokerProcess, topic: str
) -> None:
    here = TopicPartitionReplica(topic, 0, HERE)
    unknown = TopicPartitionReplica(topic, 9, HERE)
    directory = str(broker.data_dir)
    moved = admin.alter_replica_log_dirs({here: directory, unknown: directory})
    assert moved == {here: NoError, unknown: UnknownTopicOrPartitionError}
    assert admin.alter_replica_log_dirs({here: "/elsewhere"}) == {here: LogDirNotFoundError}


def test_the_quorum_is_this_broker(admin: KafkaAdminClient, topic: str) -> None:
    ((partition,),) = (one["partitions"] for one in admin.describe_metadata_quorum()["topics"])
    assert partition["leader_id"] == HERE
    assert [voter["replica_id"] for voter in partition["current_voters"]] == [HERE]
    assert partition["high_watermark"] > 0


def test_what_has_settings_is_listed(admin: KafkaAdminClient, topic: str) -> None:
    listed = admin.list_config_resources()
    assert listed["broker"] == listed["broker_logger"] == [str(HERE)]
    assert topic in listed["topic"]
    assert list(admin.list_config_resources(["broker"])) == ["broker"]


def test_access_rules_are_refused_as_by_a_kafka_without_them(admin: KafkaAdminClient) -> None:
    place = ResourcePattern(ResourceType.TOPIC, "t")
    who = {"principal": "User:u", "host": "*", "resource_pattern": place}
    rule = ACL(operation=ACLOperation.READ, permission_type=ACLPermissionType.ALLOW, **who)
    pattern = ACLFilter(operation=ACLOperation.ANY, permission_type=ACLPermissionType.ANY, **who)
    with pytest.raises(SecurityDisabledError):
        admin.describe_acls(pattern)
    assert len(admin.create_acls([rule])["failed"]) == 1
    ((_, _, refusal),) = admin.delete_acls([pattern])
    assert refusal is SecurityDisabledError
