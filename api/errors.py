"""The one table from exceptions to answers: HTTP status and code word, Kafka error code.

Whatever can reach a door is here; ``details`` of an HTTP answer are the exception's attributes.
An exception that is not here is our own mistake and answers 500 or UNKNOWN_SERVER_ERROR.
"""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple

from tidelog.api import error_codes as codes
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


MAY_PASS = (429, 503, 507)
"""HTTP statuses after which it is worth to try again."""
INTERNAL_ERROR = "internal_error"
IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"

ANSWERS: dict[type[Exception], Answer] = {
    storage.OffsetOutOfRange: Answer(416, "offset_out_of_range", codes.OFFSET_OUT_OF_RANGE),
    storage.CorruptBatch: Answer(500, "corrupt_batch", codes.CORRUPT_MESSAGE),
    storage.UnreadableBatch: Answer(422, "unreadable_batch", codes.CORRUPT_MESSAGE),
    storage.InvalidRecord: Answer(422, "invalid_record", codes.INVALID_RECORD),
    storage.InvalidTimestamp: Answer(422, "invalid_timestamp", codes.INVALID_TIMESTAMP),
    storage.BatchTooLarge: Answer(413, "record_too_large", codes.MESSAGE_TOO_LARGE),
    storage.UnsupportedCodec: Answer(422, "unsupported_codec", codes.UNSUPPORTED_COMPRESSION_TYPE),
    storage.DecompressionTooLarge: Answer(413, "decompression_too_large", codes.CORRUPT_MESSAGE),
    storage.OutOfOrderSequence: Answer(
        409, "out_of_order_sequence", codes.OUT_OF_ORDER_SEQUENCE_NUMBER
    ),
    storage.InvalidProducerEpoch: Answer(409, "producer_fenced", codes.INVALID_PRODUCER_EPOCH),
    storage.DiskFull: Answer(507, "disk_full", codes.KAFKA_STORAGE_ERROR),
    storage.TooManyOpenFiles: Answer(503, "too_many_open_files", codes.KAFKA_STORAGE_ERROR),
    storage.DiskFailed: Answer(503, "disk_failed", codes.KAFKA_STORAGE_ERROR),
    storage.WritesStopped: Answer(503, "writes_stopped", codes.KAFKA_STORAGE_ERROR),
    storage.DirectoryInUse: Answer(503, "directory_in_use", codes.KAFKA_STORAGE_ERROR),
    storage.DirectoryUnreadable: Answer(503, "directory_unreadable", codes.KAFKA_STORAGE_ERROR),
    broker.UnknownTopic: Answer(404, "unknown_topic", codes.UNKNOWN_TOPIC_OR_PARTITION),
    broker.UnknownTopicId: Answer(404, "unknown_topic_id", codes.UNKNOWN_TOPIC_ID),
    broker.TopicNotAuthorized: Answer(
        403, "topic_not_authorized", codes.TOPIC_AUTHORIZATION_FAILED
    ),
    broker.ClusterNotAuthorized: Answer(
        403, "cluster_not_authorized", codes.CLUSTER_AUTHORIZATION_FAILED
    ),
    broker.UnknownPartition: Answer(404, "unknown_partition", codes.UNKNOWN_TOPIC_OR_PARTITION),
    broker.PartitionOffline: Answer(503, "partition_offline", codes.KAFKA_STORAGE_ERROR),
    broker.TopicExists: Answer(409, "topic_exists", codes.TOPIC_ALREADY_EXISTS),
    broker.InvalidTopicName: Answer(422, "invalid_topic_name", codes.INVALID_TOPIC_EXCEPTION),
    broker.InternalTopic: Answer(403, "internal_topic", codes.INVALID_TOPIC_EXCEPTION),
    broker.InvalidPartitions: Answer(422, "invalid_partitions", codes.INVALID_PARTITIONS),
    broker.InvalidReplicationFactor: Answer(
        422, "invalid_replication_factor", codes.INVALID_REPLICATION_FACTOR
    ),
    broker.InvalidSetting: Answer(422, "invalid_setting", codes.INVALID_CONFIG),
    broker.DeletionNotAllowed: Answer(409, "deletion_not_allowed", codes.POLICY_VIOLATION),
    broker.StaleExpectedOffset: Answer(409, "offset_mismatch", codes.INVALID_REQUEST),
    broker.CatalogUnreadable: Answer(503, "catalog_unreadable", codes.KAFKA_STORAGE_ERROR),
    broker.ShuttingDown: Answer(503, "shutting_down", codes.COORDINATOR_NOT_AVAILABLE),
    broker.Loading: Answer(503, "recovering", codes.COORDINATOR_LOAD_IN_PROGRESS),
    groups.GroupNotAuthorized: Answer(
        403, "group_not_authorized", codes.GROUP_AUTHORIZATION_FAILED
    ),
    groups.InvalidGroupId: Answer(422, "invalid_group_id", codes.INVALID_GROUP_ID),
    groups.UnknownGroup: Answer(404, "unknown_group", codes.GROUP_ID_NOT_FOUND),
    groups.UnknownMember: Answer(404, "unknown_member", codes.UNKNOWN_MEMBER_ID),
    groups.IllegalGeneration: Answer(409, "illegal_generation", codes.ILLEGAL_GENERATION),
    groups.RebalanceInProgress: Answer(409, "rebalance_in_progress", codes.REBALANCE_IN_PROGRESS),
    groups.GroupNotEmpty: Answer(409, "group_not_empty", codes.NON_EMPTY_GROUP),
    groups.GroupSubscribed: Answer(409, "group_subscribed", codes.GROUP_SUBSCRIBED_TO_TOPIC),
    groups.GroupFull: Answer(409, "group_full", codes.GROUP_MAX_SIZE_REACHED),
    groups.MemberIdRequired: Answer(409, "member_id_required", codes.MEMBER_ID_REQUIRED),
    groups.FencedInstance: Answer(409, "fenced_instance", codes.FENCED_INSTANCE_ID),
    groups.InconsistentProtocol: Answer(
        409, "inconsistent_protocol", codes.INCONSISTENT_GROUP_PROTOCOL
    ),
    groups.InvalidSessionTimeout: Answer(
        422, "invalid_session_timeout", codes.INVALID_SESSION_TIMEOUT
    ),
    groups.InvalidHeartbeat: Answer(422, "invalid_heartbeat", codes.INVALID_REQUEST),
    groups.FencedMemberEpoch: Answer(409, "fenced_member_epoch", codes.FENCED_MEMBER_EPOCH),
    groups.UnreleasedInstance: Answer(409, "unreleased_instance", codes.UNRELEASED_INSTANCE_ID),
    groups.UnsupportedAssignor: Answer(422, "unsupported_assignor", codes.UNSUPPORTED_ASSIGNOR),
    groups.StaleMemberEpoch: Answer(409, "stale_member_epoch", codes.STALE_MEMBER_EPOCH),
    groups.InvalidRegularExpression: Answer(
        422, "invalid_regular_expression", codes.INVALID_REGULAR_EXPRESSION
    ),
    groups.MetadataTooLarge: Answer(422, "metadata_too_large", codes.OFFSET_METADATA_TOO_LARGE),
    groups.InvalidCursor: Answer(422, "invalid_cursor", codes.INVALID_REQUEST),
    groups.PartitionNotOwned: Answer(409, "partition_not_owned", codes.ILLEGAL_GENERATION),
    groups.InvalidReset: Answer(422, "invalid_reset", codes.INVALID_REQUEST),
    groups.JoinKeyReused: Answer(422, IDEMPOTENCY_KEY_REUSED, codes.INVALID_REQUEST),
    groups.CoordinatorLoading: Answer(
        503, "coordinator_loading", codes.COORDINATOR_LOAD_IN_PROGRESS
    ),
    groups.CoordinatorUnavailable: Answer(
        503, "coordinator_unavailable", codes.COORDINATOR_NOT_AVAILABLE
    ),
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
    return codes.UNKNOWN_SERVER_ERROR if answer is None else answer.kafka_code


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
