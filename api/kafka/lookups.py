"""What several handlers look up: topics by name or id, brokers, error codes, durations."""

from __future__ import annotations

import logging
import uuid
from datetime import timedelta
from typing import Any

from tidelog.api.caller import Operation
from tidelog.api.error_codes import (
    FENCED_LEADER_EPOCH,
    LEADER_NOT_AVAILABLE,
    SECURITY_DISABLED,
    UNKNOWN_LEADER_EPOCH,
    UNKNOWN_SERVER_ERROR,
)
from tidelog.api.errors import kafka_error
from tidelog.api.kafka.peer import Call
from tidelog.broker.errors import ClusterNotAuthorized
from tidelog.broker.partition import Partition
from tidelog.broker.topic import Topic

NO_TIMESTAMP = -1
_NO_LEADER = -1
NO_ACCESS_CONTROL = {
    "error_code": SECURITY_DISABLED,
    "error_message": "there is no access control",
}
_log = logging.getLogger("tidelog.kafka")


def not_authorized(call: Call, operation: Operation) -> dict[str, Any] | None:
    """Error code and message of a caller who may not do that to the cluster, or None."""
    try:
        call.access.cluster(operation)
    except ClusterNotAuthorized as error:
        return {"error_code": code_of(error), "error_message": str(error)}
    return None


def milliseconds(duration: timedelta) -> int:
    """A duration of kio's as milliseconds."""
    return duration.days * 86_400_000 + duration.seconds * 1000 + duration.microseconds // 1000


def code_of(error: Exception) -> int:
    """The error code of an exception; our own mistakes are logged."""
    code = kafka_error(error)
    if code == UNKNOWN_SERVER_ERROR:
        _log.error("a request failed", exc_info=error)
    return code


def topic_of(call: Call, entry: Any, operation: Operation, name_field: str = "name") -> Topic:
    """The topic that an entry of a request names, or gives the id of in later versions.

    Raises UnknownTopic, UnknownTopicId, TopicNotAuthorized.
    """
    name = getattr(entry, name_field, None)
    if name is not None:
        return call.access.topic(name, operation)
    return call.access.topic(entry.topic_id or uuid.UUID(int=0), operation)


def leader_epoch_error(partition: Partition, epoch: int) -> int:
    """The error code of a client that knows another leader epoch; -1: it knows none."""
    if epoch > partition.leader_epoch:
        return UNKNOWN_LEADER_EPOCH
    return FENCED_LEADER_EPOCH if 0 <= epoch < partition.leader_epoch else 0


def partition_fields(call: Call, partition: Partition) -> dict[str, Any]:
    """How an answer describes a partition; one that is offline has no leader, as in Kafka."""
    here = call.broker.node_id
    offline = partition.offline is not None
    return {
        "error_code": LEADER_NOT_AVAILABLE if offline else 0,
        "partition_index": partition.index,
        "leader_id": _NO_LEADER if offline else here,
        "leader_epoch": partition.leader_epoch,
        "replica_nodes": (here,),
        "isr_nodes": (here,),
        "offline_replicas": (here,) if offline else (),
    }


def topic_fields(entry: Any, name_field: str = "name") -> dict[str, Any]:
    """How an answer names the topic that an entry of the request is about."""
    return {
        name_field: getattr(entry, name_field, ""),
        "topic_id": getattr(entry, "topic_id", None),
    }


def this_broker(call: Call) -> dict[str, Any]:
    """The one broker, at the address that this client can reach."""
    address = {"host": call.peer.advertised.host, "port": call.peer.advertised.port, "rack": None}
    here = call.broker.node_id
    return {"node_id": here, "broker_id": here, **address}
