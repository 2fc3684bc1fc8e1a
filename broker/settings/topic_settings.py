"""A topic's settings, under Kafka's names.

Settings that only mean something with several replicas or with tiered storage are accepted and
reported, as tools expect them.
"""

from __future__ import annotations

from collections.abc import Mapping

from tidelog.broker.errors import InvalidSetting
from tidelog.broker.settings.broker_settings import BrokerSettings
from tidelog.broker.settings.layered_settings import LayeredSettings
from tidelog.broker.settings.setting import Setting, table
from tidelog.storage.log_settings import LogSettings

_INT_MAX = 2**31 - 1
_LONG_MAX = 2**63 - 1
_HOUR_MS = 3_600_000
_LEVELS = ("-1", *map(str, range(1, 10)))
_NO_EFFECT = "Accepted and kept; without effect on a single broker."


def _setting(
    name: str,
    kind: str,
    default: str,
    text: str,
    low: float | None = None,
    *,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    falls_back_to: str | tuple[tuple[str, int], ...] = (),
    told_as: str | None = None,
) -> Setting:
    synonyms = ((falls_back_to, 1),) if isinstance(falls_back_to, str) else falls_back_to
    return Setting(name, kind, default, text, low, high, choices, False, synonyms, told_as)


TOPIC_SETTINGS = table(
    (
        _setting(
            "cleanup.policy",
            "list",
            "delete",
            "Old segments are deleted, compacted (the last record a key stays), both, or neither.",
            choices=("delete", "compact"),
            falls_back_to="log.cleanup.policy",
        ),
        _setting(
            "compression.type",
            "string",
            "producer",
            "The codec batches are stored with; producer keeps what the client chose.",
            choices=("producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"),
            falls_back_to="compression.type",
        ),
        _setting(
            "compression.gzip.level",
            "int",
            "-1",
            _NO_EFFECT,
            -1,
            high=9,
            choices=_LEVELS,
            told_as="compression.gzip.level",
        ),
        _setting(
            "compression.lz4.level",
            "int",
            "9",
            _NO_EFFECT,
            1,
            high=17,
            told_as="compression.lz4.level",
        ),
        _setting(
            "compression.zstd.level",
            "int",
            "3",
            _NO_EFFECT,
            -131_072,
            high=22,
            told_as="compression.zstd.level",
        ),
        _setting(
            "delete.retention.ms",
            "long",
            "86400000",
            "How long a compacted topic keeps tombstones, ms.",
            0,
            falls_back_to="log.cleaner.delete.retention.ms",
        ),
        _setting(
            "file.delete.delay.ms",
            "long",
            "60000",
            "Time between dropping a segment and removing its files, ms.",
            0,
            falls_back_to="log.segment.delete.delay.ms",
        ),
        _setting(
            "flush.messages",
            "long",
            str(_LONG_MAX),
            _NO_EFFECT,
            1,
            told_as="log.flush.interval.messages",
        ),
        _setting("flush.ms", "long", str(_LONG_MAX), _NO_EFFECT, 0),
        _setting("follower.replication.throttled.replicas", "list", "", _NO_EFFECT),
        _setting(
            "index.interval.bytes",
            "int",
            "4096",
            "Bytes of batches between two index entries.",
            0,
            falls_back_to="log.index.interval.bytes",
        ),
        _setting("leader.replication.throttled.replicas", "list", "", _NO_EFFECT),
        _setting(
            "local.retention.bytes",
            "long",
            "-2",
            _NO_EFFECT,
            -2,
            told_as="log.local.retention.bytes",
        ),
        _setting(
            "local.retention.ms", "long", "-2", _NO_EFFECT, -2, told_as="log.local.retention.ms"
        ),
        _setting(
            "max.compaction.lag.ms",
            "long",
            str(_LONG_MAX),
            "Age at which a record must be compacted, ms.",
            1,
            falls_back_to="log.cleaner.max.compaction.lag.ms",
        ),
        _setting(
            "max.message.bytes",
            "int",
            "1048588",
            "Largest record batch, compressed, bytes.",
            0,
            falls_back_to="message.max.bytes",
        ),
        _setting(
            "message.timestamp.after.max.ms",
            "long",
            "3600000",
            "How far ahead of the broker's clock a record's time may lie, ms.",
            0,
            falls_back_to="log.message.timestamp.after.max.ms",
        ),
        _setting(
            "message.timestamp.before.max.ms",
            "long",
            str(_LONG_MAX),
            "How far behind the broker's clock a record's time may lie, ms.",
            0,
            falls_back_to="log.message.timestamp.before.max.ms",
        ),
        _setting(
            "message.timestamp.type",
            "string",
            "CreateTime",
            "Whose time a record carries: the producer's or the broker's.",
            choices=("CreateTime", "LogAppendTime"),
            falls_back_to="log.message.timestamp.type",
        ),
        _setting(
            "min.cleanable.dirty.ratio",
            "double",
            "0.5",
            "Share of a log that must be new before it is compacted.",
            0,
            high=1,
            falls_back_to="log.cleaner.min.cleanable.ratio",
        ),
        _setting(
            "min.compaction.lag.ms",
            "long",
            "0",
            "Age before a record may be compacted, ms.",
            0,
            falls_back_to="log.cleaner.min.compaction.lag.ms",
        ),
        _setting("min.insync.replicas", "int", "1", _NO_EFFECT, 1, told_as="min.insync.replicas"),
        _setting("preallocate", "boolean", "false", _NO_EFFECT, told_as="log.preallocate"),
        _setting("remote.log.copy.disable", "boolean", "false", _NO_EFFECT),
        _setting("remote.log.delete.on.disable", "boolean", "false", _NO_EFFECT),
        _setting(
            "remote.storage.enable",
            "boolean",
            "false",
            "There is no tiered storage.",
            choices=("false",),
        ),
        _setting(
            "retention.bytes",
            "long",
            "-1",
            "How many bytes of a partition are kept; -1: all.",
            -1,
            falls_back_to="log.retention.bytes",
        ),
        _setting(
            "retention.ms",
            "long",
            "604800000",
            "How long records are kept, ms; -1 for ever.",
            -1,
            falls_back_to=(
                ("log.retention.ms", 1),
                ("log.retention.minutes", 60_000),
                ("log.retention.hours", _HOUR_MS),
            ),
        ),
        _setting(
            "retention.wait.for.groups",
            "list",
            "",
            "Groups that must have committed past a segment before retention takes it.",
        ),
        _setting(
            "retention.max.ms",
            "long",
            "-1",
            "Age at which a segment goes although such a group has not read it, ms; -1: never.",
            -1,
        ),
        _setting(
            "retention.max.bytes",
            "long",
            "-1",
            "Size of a partition at which it goes all the same; -1: never.",
            -1,
        ),
        _setting(
            "segment.bytes",
            "int",
            "1073741824",
            "Size at which a segment is sealed.",
            1024 * 1024,
            falls_back_to="log.segment.bytes",
        ),
        _setting(
            "segment.index.bytes",
            "int",
            "10485760",
            _NO_EFFECT,
            4,
            told_as="log.index.size.max.bytes",
        ),
        _setting("segment.jitter.ms", "long", "0", _NO_EFFECT, 0),
        _setting(
            "segment.ms",
            "long",
            "604800000",
            "Age at which a segment is sealed, ms.",
            1,
            falls_back_to=(("log.roll.ms", 1), ("log.roll.hours", _HOUR_MS)),
        ),
        _setting(
            "unclean.leader.election.enable",
            "boolean",
            "false",
            _NO_EFFECT,
            told_as="unclean.leader.election.enable",
        ),
    )
)


class TopicSettings(LayeredSettings):
    """Those of one topic."""

    def __init__(self, overrides: Mapping[str, str], broker: BrokerSettings) -> None:
        """Raises InvalidSetting."""
        super().__init__(TOPIC_SETTINGS, overrides, broker)
        low, high = "min.compaction.lag.ms", "max.compaction.lag.ms"
        if self[low] > self[high]:
            raise InvalidSetting(low, str(self[low]), f"must be at most {high}={self[high]}")

    def log_settings(self) -> LogSettings:
        """What the topic's logs need to know."""
        return LogSettings(
            segment_bytes=self["segment.bytes"],
            segment_ms=self["segment.ms"],
            index_interval_bytes=self["index.interval.bytes"],
            max_message_bytes=self["max.message.bytes"],
            retention_ms=self["retention.ms"],
            retention_bytes=self["retention.bytes"],
            retention_wait_for_groups=self["retention.wait.for.groups"],
            retention_max_ms=self["retention.max.ms"],
            retention_max_bytes=self["retention.max.bytes"],
            delete="delete" in self["cleanup.policy"],
            compact="compact" in self["cleanup.policy"],
            timestamp_type=self["message.timestamp.type"],
            timestamp_before_max_ms=self["message.timestamp.before.max.ms"],
            timestamp_after_max_ms=self["message.timestamp.after.max.ms"],
            file_delete_delay_ms=self["file.delete.delay.ms"],
            compression_type=self["compression.type"],
            min_cleanable_dirty_ratio=self["min.cleanable.dirty.ratio"],
            min_compaction_lag_ms=self["min.compaction.lag.ms"],
            max_compaction_lag_ms=self["max.compaction.lag.ms"],
            delete_retention_ms=self["delete.retention.ms"],
        )
