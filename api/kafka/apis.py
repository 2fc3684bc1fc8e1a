"""The APIs that are served: their keys, names, versions and handlers, as data.

Message classes of a version are imported when the first request of that version comes: each
costs some milliseconds, and a client uses few.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple


class Api(NamedTuple):
    """An API: ``advertised_min`` may lie below ``min_version`` where Kafka does so itself."""

    key: int
    name: str
    min_version: int
    max_version: int
    flexible_from: int
    advertised_min: int | None = None

    def serves(self, version: int) -> bool:
        return self.min_version <= version <= self.max_version

    def is_flexible(self, version: int) -> bool:
        """Whether messages of this version have tagged fields."""
        return version >= self.flexible_from

    @property
    def camel_case(self) -> str:
        """The name as Apache Kafka writes it."""
        return _camel_case(self.name)


_NEVER = 2**15

APIS = {
    api.key: api
    for api in (
        Api(0, "produce", 3, 13, 9, advertised_min=0),
        Api(1, "fetch", 4, 18, 12),
        Api(2, "list_offsets", 1, 11, 6),
        Api(3, "metadata", 0, 13, 9),
        Api(8, "offset_commit", 2, 10, 8),
        Api(9, "offset_fetch", 1, 10, 6),
        Api(10, "find_coordinator", 0, 6, 3),
        Api(11, "join_group", 0, 9, 6),
        Api(12, "heartbeat", 0, 4, 4),
        Api(13, "leave_group", 0, 5, 4),
        Api(14, "sync_group", 0, 5, 4),
        Api(15, "describe_groups", 0, 6, 5),
        Api(16, "list_groups", 0, 5, 3),
        Api(17, "sasl_handshake", 0, 1, _NEVER),
        Api(18, "api_versions", 0, 4, 3),
        Api(19, "create_topics", 2, 7, 5),
        Api(20, "delete_topics", 1, 6, 4),
        Api(21, "delete_records", 0, 2, 2),
        Api(22, "init_producer_id", 0, 5, 2),
        Api(23, "offset_for_leader_epoch", 2, 4, 4),
        Api(29, "describe_acls", 1, 3, 2),
        Api(30, "create_acls", 1, 3, 2),
        Api(31, "delete_acls", 1, 3, 2),
        Api(32, "describe_configs", 1, 4, 4),
        Api(33, "alter_configs", 0, 2, 2),
        Api(34, "alter_replica_log_dirs", 1, 2, 2),
        Api(35, "describe_log_dirs", 1, 5, 2),
        Api(36, "sasl_authenticate", 0, 2, 2),
        Api(37, "create_partitions", 0, 3, 2),
        Api(38, "create_delegation_token", 1, 3, 2),
        Api(39, "renew_delegation_token", 1, 2, 2),
        Api(40, "expire_delegation_token", 1, 2, 2),
        Api(41, "describe_delegation_token", 1, 3, 2),
        Api(42, "delete_groups", 0, 2, 2),
        Api(43, "elect_leaders", 0, 2, 2),
        Api(44, "incremental_alter_configs", 0, 1, 1),
        Api(45, "alter_partition_reassignments", 0, 1, 0),
        Api(46, "list_partition_reassignments", 0, 0, 0),
        Api(47, "offset_delete", 0, 0, _NEVER),
        Api(48, "describe_client_quotas", 0, 1, 1),
        Api(49, "alter_client_quotas", 0, 1, 1),
        Api(50, "describe_user_scram_credentials", 0, 0, 0),
        Api(51, "alter_user_scram_credentials", 0, 0, 0),
        Api(55, "describe_quorum", 0, 2, 0),
        Api(57, "update_features", 0, 2, 0),
        Api(60, "describe_cluster", 0, 2, 0),
        Api(61, "describe_producers", 0, 0, 0),
        Api(64, "unregister_broker", 0, 0, 0),
        Api(65, "describe_transactions", 0, 0, 0),
        Api(66, "list_transactions", 0, 2, 0),
        Api(68, "consumer_group_heartbeat", 0, 1, 0),
        Api(69, "consumer_group_describe", 0, 1, 0),
        Api(74, "list_config_resources", 0, 1, 0),
        Api(75, "describe_topic_partitions", 0, 0, 0),
    )
}


def _camel_case(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


@cache
def message_class(name: str, version: int, kind: str) -> Any:
    """kio's class of a message; ``kind`` is request or response."""
    module = importlib.import_module(f"kio.schema.{name}.v{version}.{kind}")
    return getattr(module, _camel_case(name) + kind.capitalize())


@cache
def request_reader(name: str, version: int) -> Callable[[Any, int], tuple[Any, int]]:
    """kio's native decoder for a request: (buffer, position) -> (entity, size)."""
    from kio.serial import entity_reader

    reader: Callable[[Any, int], tuple[Any, int]] = entity_reader(
        message_class(name, version, "request")
    )
    return reader


@cache
def handler(name: str) -> Callable[..., Any]:
    """The function that answers an API."""
    module = importlib.import_module(f"tidelog.api.kafka.handlers.{name}")
    handle: Callable[..., Any] = module.handle
    return handle
