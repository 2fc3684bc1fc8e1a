"""The one table from exceptions to answers: HTTP status and code word, Kafka error code.

Whatever can reach a door is here; ``details`` of an HTTP answer are the exception's attributes.
An exception that is not here is our own mistake and answers 500 or UNKNOWN_SERVER_ERROR.
"""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple

from tidelog.broker import errors as broker
from tidelog.broker.topic_name import may_be_made
from tidelog.consumer_groups import errors as groups
from tidelog.storage import errors as storage
from tidelog.storage.files import refused


class ApiError(Exception):
    """A request that an HTTP door refuses by itself; ``code`` is a stable word."""

    def __init__(self, status: int, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.details = details


class Answer(NamedTuple):
    """How the doors answer an exception type."""

    status: int
    code: str
    kafka_code: int


class HttpError(NamedTuple):
    """An error as HTTP tells it."""

    status: int
    code: str
    message: str
    details: dict[str, Any]


UNKNOWN_SERVER_ERROR = -1
MAY_PASS = (429, 503, 507)
"""HTTP statuses after which it is worth to try again."""
INTERNAL_ERROR = "internal_error"
IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"

ANSWERS: dict[type[Exception], Answer] = {
    storage.OffsetOutOfRange: Answer(416, "offset_out_of_range", 1),
    storage.CorruptBatch: Answer(500, "corrupt_batch", 2),
    storage.UnreadableBatch: Answer(422, "unreadable_batch", 2),
    storage.InvalidRecord: Answer(422, "invalid_record", 87),
    storage.InvalidTimestamp: Answer(422, "invalid_timestamp", 32),
    storage.BatchTooLarge: Answer(413, "record_too_large", 10),
    storage.UnsupportedCodec: Answer(422, "unsupported_codec", 76),
    storage.DecompressionTooLarge: Answer(413, "decompression_too_large", 2),
    storage.OutOfOrderSequence: Answer(409, "out_of_order_sequence", 45),
    storage.InvalidProducerEpoch: Answer(409, "producer_fenced", 47),
    storage.DiskFull: Answer(507, "disk_full", 56),
    storage.TooManyOpenFiles: Answer(503, "too_many_open_files", 56),
    storage.DiskFailed: Answer(503, "disk_failed", 56),
    storage.WritesStopped: Answer(503, "writes_stopped", 56),
    storage.DirectoryInUse: Answer(503, "directory_in_use", 56),
    storage.DirectoryUnreadable: Answer(503, "directory_unreadable", 56),
    broker.UnknownTopic: Answer(404, "unknown_topic", 3),
    broker.UnknownTopicId: Answer(404, "unknown_topic_id", 100),
    broker.UnknownPartition: Answer(404, "unknown_partition", 3),
    broker.PartitionOffline: Answer(503, "partition_offline", 56),
    broker.TopicExists: Answer(409, "topic_exists", 36),
    broker.InvalidTopicName: Answer(422, "invalid_topic_name", 17),
    broker.InternalTopic: Answer(403, "internal_topic", 17),
    broker.InvalidPartitions: Answer(422, "invalid_partitions", 37),
    broker.InvalidReplicationFactor: Answer(422, "invalid_replication_factor", 38),
    broker.InvalidSetting: Answer(422, "invalid_setting", 40),
    broker.DeletionNotAllowed: Answer(409, "deletion_not_allowed", 44),
    broker.StaleExpectedOffset: Answer(409, "offset_mismatch", 42),
    broker.CatalogUnreadable: Answer(503, "catalog_unreadable", 56),
    broker.ShuttingDown: Answer(503, "shutting_down", 15),
    broker.Loading: Answer(503, "recovering", 14),
    groups.InvalidGroupId: Answer(422, "invalid_group_id", 24),
    groups.UnknownGroup: Answer(404, "unknown_group", 69),
    groups.UnknownMember: Answer(404, "unknown_member", 25),
    groups.IllegalGeneration: Answer(409, "illegal_generation", 22),
    groups.RebalanceInProgress: Answer(409, "rebalance_in_progress", 27),
    groups.GroupNotEmpty: Answer(409, "group_not_empty", 68),
    groups.GroupSubscribed: Answer(409, "group_subscribed", 86),
    groups.GroupFull: Answer(409, "group_full", 81),
    groups.MemberIdRequired: Answer(409, "member_id_required", 79),
    groups.FencedInstance: Answer(409, "fenced_instance", 82),
    groups.InconsistentProtocol: Answer(409, "inconsistent_protocol", 23),
    groups.InvalidSessionTimeout: Answer(422, "invalid_session_timeout", 26),
    groups.InvalidHeartbeat: Answer(422, "invalid_heartbeat", 42),
    groups.FencedMemberEpoch: Answer(409, "fenced_member_epoch", 110),
    groups.UnreleasedInstance: Answer(409, "unreleased_instance", 111),
    groups.UnsupportedAssignor: Answer(422, "unsupported_assignor", 112),
    groups.StaleMemberEpoch: Answer(409, "stale_member_epoch", 113),
    groups.InvalidRegularExpression: Answer(422, "invalid_regular_expression", 128),
    groups.MetadataTooLarge: Answer(422, "metadata_too_large", 12),
    groups.InvalidCursor: Answer(422, "invalid_cursor", 42),
    groups.PartitionNotOwned: Answer(409, "partition_not_owned", 22),
    groups.InvalidReset: Answer(422, "invalid_reset", 42),
    groups.JoinKeyReused: Answer(422, IDEMPOTENCY_KEY_REUSED, 42),
    groups.CoordinatorLoading: Answer(503, "coordinator_loading", 14),
    groups.CoordinatorUnavailable: Answer(503, "coordinator_unavailable", 15),
}


def http_error(error: Exception) -> HttpError:
    """How HTTP answers an exception; 500 for one that is nobody's fault but ours."""
    if isinstance(error, ApiError):
        return HttpError(error.status, error.code, str(error), error.details)
    error = _foreseen(error)
    answer = _answer(error)
    if answer is None:
        return HttpError(500, INTERNAL_ERROR, "the broker failed; its log says why", {})
    message = str(error)
    if isinstance(error, storage.UnreadableBatch):
        message += "; read on from next_offset, or pass what cannot be read with on_corrupt=skip"
        if error.damaged:
            answer = ANSWERS[storage.CorruptBatch]
    if isinstance(error, broker.UnknownTopic) and may_be_made(error.topic):
        message += f'; create it with POST /v1/topics and the body {{"name": "{error.topic}"}}'
    if isinstance(error, groups.UnknownMember):
        message += "; it has left or was silent for too long, and has to join again"
    details = {name: _plain(value) for name, value in vars(error).items()}
    return HttpError(answer.status, answer.code, message, details)


def kafka_error(error: Exception) -> int:
    """The Kafka error code of an exception; UNKNOWN_SERVER_ERROR for our own mistakes."""
    answer = _answer(_foreseen(error))
    return UNKNOWN_SERVER_ERROR if answer is None else answer.kafka_code


def _foreseen(error: Exception) -> Exception:
    """What the operating system refuses is nobody's mistake."""
    return refused(error, "the broker") if isinstance(error, OSError) else error


def _answer(error: Exception) -> Answer | None:
    for kind in type(error).__mro__:
        if kind in ANSWERS:
            return ANSWERS[kind]
    return None


def _plain(value: object) -> object:
    return str(value) if isinstance(value, uuid.UUID) else value
