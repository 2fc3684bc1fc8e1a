"""The broker's settings, under Kafka's names where Kafka has them, and their values."""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any, NamedTuple

from tidelog.broker.errors import InvalidSetting
from tidelog.broker.log_levels import AREAS, parse_log_levels
from tidelog.broker.settings.changing_settings import (
    CHANGEABLE,
    RELATED,
    UNCHANGED,
    Changed,
    Place,
)
from tidelog.broker.settings.setting import Setting, Value, find, table

_INT_MAX = 2**31 - 1
_LONG_MAX = 2**63 - 1
_MIB = 1024 * 1024
PARTITIONS_MAX = 10_000
"""Of one topic."""


def _cache_bytes() -> str:
    """64 MiB, or an eighth of the machine's memory where that is less."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return str(min(64 * _MIB, memory // 8))


def _int(name: str, default: int | None, text: str, low: int = 0, high: int = _INT_MAX) -> Setting:
    return Setting(name, "int", None if default is None else str(default), text, low, high)


def _long(name: str, default: int | None, text: str, low: int = 0) -> Setting:
    return Setting(name, "long", None if default is None else str(default), text, low, _LONG_MAX)


def _bool(name: str, default: bool, text: str) -> Setting:
    return Setting(name, "boolean", str(default).lower(), text)


def _word(name: str, default: str | None, text: str, *choices: str) -> Setting:
    return Setting(name, "string", default, text, choices=choices)


def _list(name: str, default: str, text: str, *choices: str) -> Setting:
    return Setting(name, "list", default, text, choices=choices)


def _fixed(name: str, kind: str, default: str, text: str) -> Setting:
    return Setting(name, kind, default, text, read_only=True)


_TOPICS = (
    _bool(
        "auto.create.topics.enable",
        True,
        "Create a topic that is first written to, or that a Kafka client asks for.",
    ),
    _int("num.partitions", 1, "Partitions of a topic created without a count.", 1, PARTITIONS_MAX),
    _int("default.replication.factor", 1, "Replicas of a topic created without a count.", 1),
    _bool("delete.topic.enable", True, "Whether topics may be deleted."),
    _bool(
        "replication.factor.strict",
        False,
        "Refuse a replication factor above the number of brokers instead of keeping one replica.",
    ),
)

_LOGS = (
    _list("log.cleanup.policy", "delete", "What happens to old segments.", "delete", "compact"),
    _long("log.retention.ms", None, "How long records are kept, ms; -1 for ever.", -1),
    _int("log.retention.minutes", None, "As log.retention.ms, in minutes.", -1),
    _int("log.retention.hours", 168, "As log.retention.ms, in hours.", -1),
    _long("log.retention.bytes", -1, "How many bytes of a partition are kept; -1: all.", -1),
    _long("log.retention.check.interval.ms", 300_000, "Time between retention passes, ms.", 1),
    _int("log.segment.bytes", 1024 * _MIB, "Size at which a segment is sealed.", _MIB),
    _long("log.roll.ms", None, "Age at which a segment is sealed, ms.", 1),
    _int("log.roll.hours", 168, "As log.roll.ms, in hours.", 1),
    _long("log.segment.delete.delay.ms", 60_000, "Time between dropping a file and removing it."),
    _int("log.index.interval.bytes", 4096, "Bytes of batches between two index entries."),
    _int("message.max.bytes", _MIB + 12, "Largest record batch, compressed, bytes."),
    _word(
        "log.message.timestamp.type",
        "CreateTime",
        "Whose time a record carries: the producer's or the broker's.",
        "CreateTime",
        "LogAppendTime",
    ),
    _long("log.message.timestamp.before.max.ms", _LONG_MAX, "How far behind a time may lie, ms."),
    _long("log.message.timestamp.after.max.ms", 3_600_000, "How far ahead a time may lie, ms."),
    _long("log.cleaner.delete.retention.ms", 86_400_000, "How long tombstones are kept, ms."),
    _long("log.cleaner.min.compaction.lag.ms", 0, "Age before a record may be compacted, ms."),
    _long(
        "log.cleaner.max.compaction.lag.ms",
        _LONG_MAX,
        "Age at which a record must be compacted, ms.",
        1,
    ),
    _long("log.cleaner.backoff.ms", 15_000, "Longest time between two compaction passes, ms."),
    _long("log.cleaner.dedupe.buffer.size", 128 * _MIB, "Memory for compaction's keys.", _MIB),
    Setting(
        "log.cleaner.io.max.bytes.per.second",
        "double",
        "52428800",
        "What compaction may read and write, bytes a second.",
        1024,
    ),
    Setting(
        "log.cleaner.min.cleanable.ratio",
        "double",
        "0.5",
        "Share of a log that must be new before it is compacted.",
        0,
        1,
    ),
    _word(
        "compression.type",
        "producer",
        "The codec batches are stored with; producer keeps what the client chose.",
        *("producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"),
    ),
    _word(
        "flush.mode",
        "fsync",
        "What acks=all waits for: stable storage (fsync) or only the operating system (os).",
        "fsync",
        "os",
    ),
    Setting(
        "cache.bytes", "long", _cache_bytes(), "Memory for the read cache, bytes.", 0, _LONG_MAX
    ),
    _int("producer.id.expiration.ms", 86_400_000, "When an idle producer is forgotten, ms.", 1),
)

_CONNECTIONS = (
    _int("socket.request.max.bytes", 100 * _MIB, "Largest request of the Kafka protocol.", 1),
    _long("connections.max.idle.ms", 600_000, "When an idle connection is closed, ms.", 1),
    _int("max.connections", _INT_MAX, "Kafka connections at once."),
    _int("max.connections.per.ip", _INT_MAX, "Kafka connections from one address."),
    _int("fetch.max.bytes", 55 * _MIB, "Most bytes of one fetch response.", 1024),
    _long("http.max.body.bytes", 100 * _MIB, "Largest HTTP request body that is not a stream.", 1),
    _int("http.max.header.bytes", 65_536, "Largest HTTP request head.", 1024),
    _long("http.body.timeout.ms", 60_000, "Longest pause within an HTTP request, ms.", 1),
    _long("http.heartbeat.interval.ms", 15_000, "Time between comments of an idle stream, ms.", 1),
    _list("cors.origins", "", "Web origins that may call the HTTP API from a browser."),
    _list(
        "trusted.proxies",
        "127.0.0.0/8,::1",
        "Addresses and networks of proxies whose X-Forwarded-Host and -Prefix are believed.",
    ),
    _list("allowed.hosts", "", "Further values of the Host header that are ours."),
    _long("shutdown.grace.ms", 10_000, "How long a stop waits for requests under way, ms."),
)

_GROUPS = (
    _int(
        "offsets.topic.num.partitions",
        1,
        "Partitions of the topic of committed offsets.",
        1,
        PARTITIONS_MAX,
    ),
    _int(
        "offsets.topic.segment.bytes",
        100 * _MIB,
        "Segment size of the topic of committed offsets.",
        _MIB,
    ),
    _int("offsets.retention.minutes", 10_080, "How long offsets outlive an empty group.", 1),
    _long(
        "offsets.retention.check.interval.ms",
        600_000,
        "Time between checks for offsets to forget, ms.",
        1,
    ),
    _int("offset.metadata.max.bytes", 4096, "Longest text committed with an offset, bytes."),
    _int(
        "group.initial.rebalance.delay.ms", 0, "How long an empty group waits for more members, ms."
    ),
    _int("group.min.session.timeout.ms", 6000, "Shortest session time-out a member may ask for."),
    _int("group.max.session.timeout.ms", 1_800_000, "Longest session time-out, ms."),
    _int("group.max.size", _INT_MAX, "Members of one group.", 1),
    _int("group.consumer.session.timeout.ms", 45_000, "Session time-out of new groups, ms.", 1),
    _int(
        "group.consumer.min.session.timeout.ms",
        45_000,
        "Shortest session time-out of new groups, ms.",
        1,
    ),
    _int(
        "group.consumer.max.session.timeout.ms",
        60_000,
        "Longest session time-out of new groups, ms.",
        1,
    ),
    _int("group.consumer.heartbeat.interval.ms", 5000, "Heartbeat interval of new groups, ms.", 1),
    _int(
        "group.consumer.min.heartbeat.interval.ms",
        5000,
        "Shortest heartbeat interval of new groups, ms.",
        1,
    ),
    _int(
        "group.consumer.max.heartbeat.interval.ms",
        15_000,
        "Longest heartbeat interval of new groups, ms.",
        1,
    ),
    _int("group.consumer.max.size", _INT_MAX, "Members of one new group.", 1),
    _word(
        "group.consumer.migration.policy",
        "bidirectional",
        "Whether a group may change between classic and new while its members live.",
        *("bidirectional", "upgrade", "downgrade", "disabled"),
    ),
)

_IDENTITY = (
    _int("node.id", None, "The broker's number; not set: its data directory's, 1 for a new one."),
    _fixed("broker.id", "int", "1", "The broker's number under its old name."),
    _fixed("log.dirs", "list", "./tidelog-data", "The data directory."),
    _fixed("listeners", "list", "", "Addresses that are listened on."),
    _fixed("advertised.listeners", "list", "", "Addresses that clients are told."),
    _fixed("process.roles", "list", "broker,controller", "What this process does."),
    _fixed("inter.broker.protocol.version", "string", "4.3", "The Kafka version that is spoken."),
    _fixed("min.insync.replicas", "int", "1", "Replicas that acks=all waits for."),
    _fixed("unclean.leader.election.enable", "boolean", "false", "There is one replica."),
    _fixed("offsets.topic.replication.factor", "int", "1", "There is one replica."),
)

_LOGGING = (
    _list(
        "log.level",
        "info",
        "How much is logged: debug, info, warning or error, and for some areas another level, as "
        f"info,groups=debug. Areas: {', '.join(AREAS)}.",
    ),
    _word("log.format", "text", "How a line of the log looks.", "text", "json"),
    _word("log.file", "", "Where the log goes; empty: to standard error."),
)

BROKER_SETTINGS = table((*_TOPICS, *_LOGS, *_CONNECTIONS, *_GROUPS, *_IDENTITY, *_LOGGING))


class BrokerSettingValue(NamedTuple):
    """A setting with its value as text, where that came from, and all places, strongest first."""

    name: str
    value: str | None
    source: str
    setting: Setting
    places: tuple[Place, ...]


class BrokerSettings(Mapping[str, Any]):
    """Values by name, parsed once: ``changed`` while running, ``given`` at start, or defaults.

    ``sources`` says where a given one came from.
    """

    def __init__(
        self,
        given: Mapping[str, str],
        sources: Mapping[str, str] | None = None,
        changed: Changed = UNCHANGED,
    ) -> None:
        """Raises InvalidSetting."""
        self.given = dict(given)
        self.changed = changed
        self.overrides = {**given, **changed.for_all, **changed.own}
        self.sources = dict(sources or {})
        self._values: dict[str, Value] = {}
        for name, text in self.overrides.items():
            self._values[name] = find(BROKER_SETTINGS, name, text).parse(text)
        for name, setting in BROKER_SETTINGS.items():
            if name not in self._values:
                default = setting.default
                self._values[name] = None if default is None else setting.parse(default)
        self._check_pairs()
        self._check_networks("trusted.proxies")
        self.log_levels = parse_log_levels(self["log.level"])

    def _check_networks(self, name: str) -> None:
        for text in self[name]:
            try:
                ip_network(text, strict=False)
            except ValueError:
                reason = "must be addresses or networks, as 127.0.0.1,10.0.0.0/8"
                raise InvalidSetting(name, text, reason) from None

    def _check_pairs(self) -> None:
        """What Apache Kafka asks of settings together (``GroupCoordinatorConfig.validate``)."""
        session, interval = "session.timeout.ms", "heartbeat.interval.ms"
        self._check_at_most(f"group.min.{session}", f"group.max.{session}")
        consumer = "group.consumer"
        for what in (session, interval):
            low, high = f"{consumer}.min.{what}", f"{consumer}.max.{what}"
            self._check_at_most(low, high)
            self._check_at_most(low, f"{consumer}.{what}")
            self._check_at_most(f"{consumer}.{what}", high)
        self._check_at_most(f"{consumer}.{interval}", f"{consumer}.{session}", but_below=True)

    def _check_at_most(self, low: str, high: str, *, but_below: bool = False) -> None:
        """``high`` is not below ``low``; the one of them that was given is to blame."""
        if self[low] + but_below <= self[high]:
            return
        if high in self.overrides and low not in self.overrides:
            relation = "above" if but_below else "at least"
            raise InvalidSetting(high, str(self[high]), f"must be {relation} {low}={self[low]}")
        relation = "below" if but_below else "at most"
        raise InvalidSetting(low, str(self[low]), f"must be {relation} {high}={self[high]}")

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Any:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def text(self, name: str) -> str | None:
        """The value as text, None where it is not set."""
        return self.overrides.get(name, BROKER_SETTINGS[name].default)

    def places(self, name: str) -> list[Place]:
        """Where the setting has a value but for its default, strongest first."""
        layers = (
            (self.changed.own, "dynamic"),
            (self.changed.for_all, "dynamic_default"),
            (self.given, self.sources.get(name, "broker")),
        )
        return [Place(name, layer[name], source) for layer, source in layers if name in layer]

    def describe(self) -> list[BrokerSettingValue]:
        """Every setting with its value and source, by name."""
        return [self._described(name, setting) for name, setting in BROKER_SETTINGS.items()]

    def _described(self, name: str, setting: Setting) -> BrokerSettingValue:
        places = self.places(name)
        if setting.default is not None:
            places.append(Place(name, setting.default, "default"))
        if not places:
            return BrokerSettingValue(name, None, "default", setting, ())
        first = places[0]
        related = RELATED.get(name, ())
        for other in related:
            places += self.places(other)
        if related:
            places.append(Place(other, BROKER_SETTINGS[other].default or "", "default"))
        return BrokerSettingValue(name, first.value, first.source, setting, tuple(places))

    def with_given(self, other: BrokerSettings) -> BrokerSettings:
        """A copy with what the other was given of the changeable ones. Raises InvalidSetting."""
        given = {name: text for name, text in self.given.items() if name not in CHANGEABLE}
        given |= {name: text for name, text in other.given.items() if name in CHANGEABLE}
        return BrokerSettings(given, {**self.sources, **other.sources}, self.changed)

    def with_changes(
        self, changes: Mapping[str, str | None], *, for_all: bool = False
    ) -> BrokerSettings:
        """A copy with other values; None resets one, whether it was set or not.

        Raises InvalidSetting.
        """
        present = dict(self.changed.for_all if for_all else self.changed.own)
        for name, value in changes.items():
            if value is None:
                present.pop(name, None)
                continue
            find(BROKER_SETTINGS, name, value)
            if name not in CHANGEABLE:
                raise InvalidSetting(name, value, "it cannot be changed while the broker runs")
            present[name] = value.strip()
        own, shared = (self.changed.own, present) if for_all else (present, self.changed.for_all)
        # Values that another stands above now have to be right too: it may be reset.
        BrokerSettings(self.given, self.sources, Changed({}, shared))
        return BrokerSettings(self.given, self.sources, Changed(own, shared))
