"""AlterReplicaLogDirs, 1-2: there is one data directory, and every replica is in it already."""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import ALTER, DESCRIBE
from tidelog.api.error_codes import LOG_DIR_NOT_FOUND
from tidelog.api.kafka.lookups import code_of
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values

API = Api(key=34, name="alter_replica_log_dirs", versions=(1, 2), flexible_from=2)


def handle(call: Call, request: Any) -> Values:
    """One answer for each partition, by topic."""
    results: dict[str, list[dict[str, Any]]] = {}
    for directory in request.dirs:
        for topic in directory.topics:
            answers = results.setdefault(topic.name, [])
            for index in topic.partitions:
                code = _move(call, topic.name, index, directory.path)
                answers.append({"partition_index": index, "error_code": code})
    return {
        "results": [
            {"topic_name": name, "partitions": answers} for name, answers in results.items()
        ]
    }


def _move(call: Call, topic: str, index: int, path: str) -> int:
    """The error code; a replica that is told to stay where it is does so."""
    try:
        call.access.cluster(ALTER)
        if path != call.broker.data_dir:
            return LOG_DIR_NOT_FOUND
        call.access.topic(topic, DESCRIBE).partition(index)
    except Exception as error:
        return code_of(error)
    return 0
