"""Settings: Apache Kafka and we describe and change the same ones in the same way.

Where we differ it is for a reason, and the tables and the last test say which.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.support.both_brokers import BothBrokers
from tests.support.kafka_wire import Message
from tests.support.setting_bounds import allowed, refused
from tidelog.api.kafka.api_table import APIS
from tidelog.broker.settings.setting import Setting
from tidelog.broker.settings.topic_settings import TOPIC_SETTINGS

pytestmark = pytest.mark.xdist_group("apache_kafka_broker")

_APIS = {api.name: api for api in APIS.values()}
_TOPIC, _BROKER, _LOGGER, _GROUP = 2, 4, 8, 32
_SET, _DELETE, _APPEND, _SUBTRACT = range(4)
_numbers = itertools.count()
_ONLY_OURS = {"retention.wait.for.groups", "retention.max.ms", "retention.max.bytes"}


def versions(api: str) -> Any:
    served = range(_APIS[api].min_version, _APIS[api].max_version + 1)
    return pytest.mark.parametrize("version", served)


def unused_name() -> str:
    return f"settings-{next(_numbers)}"


def described(answer: Message) -> dict[str, Message]:
    return {config["name"]: config for config in answer["results"][0]["configs"]}


def describe_fields(
    kind: int, name: str, keys: list[str] | None = None, **options: bool
) -> Message:
    resource = {"resource_type": kind, "resource_name": name, "configuration_keys": keys}
    return {"resources": [resource], **options}


@versions("describe_configs")
def test_settings_of_a_topic(both: BothBrokers, version: int) -> None:
    """Names, values, sources, synonyms, types, documentation."""
    settings = {"retention_ms": "1000", "cleanup_policy": "compact", "min_insync_replicas": "1"}
    topic = both.create_topic(unused_name(), 1, **settings)
    details = {"include_synonyms": True}
    if version >= 3:
        details["include_documentation"] = True
    ours, theirs = map(
        described,
        both.ask("describe_configs", version, **describe_fields(_TOPIC, topic, **details)),
    )
    assert set(ours) - set(theirs) == _ONLY_OURS
    for name, config in theirs.items():
        assert ours[name] == config
    plain = both.create_topic(unused_name())
    synonyms = describe_fields(_TOPIC, plain, sorted(theirs), include_synonyms=True)
    both.same("describe_configs", version, **synonyms)
    for keys in (["retention.ms"], ["no.such.setting"]):
        both.same("describe_configs", version, **describe_fields(_TOPIC, topic, keys))
    for name in ("no-such-topic", "a b", ""):
        both.same("describe_configs", version, **describe_fields(_TOPIC, name))
    for kind, name in ((_BROKER, "9"), (_BROKER, "x"), (99, "x"), (0, "x")):
        both.same("describe_configs", version, **describe_fields(kind, name))
    one = describe_fields(_TOPIC, topic, ["retention.ms"])["resources"]
    both.same("describe_configs", version, resources=one * 2)


def test_settings_of_the_broker(both: BothBrokers) -> None:
    """Defaults, types and documentation of every setting that both have."""
    fields = describe_fields(_BROKER, "1", include_synonyms=True, include_documentation=True)
    ours, theirs = map(described, both.ask("describe_configs", 4, **fields))
    shared = set(ours) & set(theirs)
    assert len(shared) > 50
    only_ours = {name for name in set(ours) - set(theirs) if not name.startswith("http.")}
    assert only_ours == _BROKER_ONLY_OURS
    different = {
        name
        for name in shared
        if _default(ours[name]) != _default(theirs[name])
        or ours[name]["config_type"] != theirs[name]["config_type"]
    }
    assert different == set(_BROKER_DIFFERENT)
    assert all(one[name]["documentation"] == "a text" for one in (ours, theirs) for name in shared)
    assert ours["min.insync.replicas"]["synonyms"] == theirs["min.insync.replicas"]["synonyms"]
    of_all = describe_fields(_BROKER, "", include_synonyms=True)
    ours, theirs = map(described, both.ask("describe_configs", 4, **of_all))
    for one in (*ours.values(), *theirs.values()):
        one.pop("read_only")  # see below
    assert ours == theirs != {}


def _default(config: Message) -> str | None:
    defaults = [one["value"] for one in config["synonyms"] if one["source"] == 5]
    return defaults[0] if defaults else None


_BROKER_ONLY_OURS = {
    *("replication.factor.strict", "flush.mode", "cache.bytes", "shutdown.grace.ms"),
    *("cors.origins", "allowed.hosts", "trusted.proxies", "inter.broker.protocol.version"),
    *("log.level", "log.format", "log.file"),
}
_BROKER_DIFFERENT = {
    "group.initial.rebalance.delay.ms": "their 3 s are for fleets",
    "offsets.topic.num.partitions": "one broker needs one",
    "offsets.topic.replication.factor": "one broker has one; they use a type of its own",
    "broker.id": "theirs is -1 where node.id says it",
    "process.roles": "theirs has to be given",
    "advertised.listeners": "theirs has no default, ours is the address in use",
    "log.cleaner.io.max.bytes.per.second": "a limit, where they have none",
    "listeners": "the default port of a listener is not told",
    "log.dirs": "the directory of a broker that was not told one",
}


def alter_fields(name: str, configs: list[Message], kind: int = _TOPIC, **options: bool) -> Message:
    resource = {"resource_type": kind, "resource_name": name, "configs": configs}
    return {"resources": [resource], "validate_only": False, **options}


@versions("incremental_alter_configs")
def test_change_some_settings(both: BothBrokers, version: int) -> None:
    topic = both.create_topic(unused_name())

    def change(
        setting: str, operation: int, value: str | None, name: str = topic, **more: Any
    ) -> None:
        config = {"name": setting, "config_operation": operation, "value": value}
        both.same("incremental_alter_configs", version, **alter_fields(name, [config], **more))

    for operation, value in ((_SET, "5"), (_SET, "x"), (_SET, ""), (_SET, None), (_APPEND, "5")):
        change("retention.ms", operation, value)
    for operation, value in ((_APPEND, "compact"), (_SUBTRACT, "delete"), (_APPEND, "other")):
        change("cleanup.policy", operation, value)
    change("cleanup.policy", _SUBTRACT, "compact")
    for operation, value in ((_SET, "1"), (_DELETE, None)):
        change("no.such.setting", operation, value)
    for name in ("no-such-topic", "a b"):
        change("retention.ms", _SET, "5", name)
    change("retention.ms", _SET, "77", validate_only=True)
    for broker in ("1", "", "9", "x"):
        change("leader.replication.throttled.rate", _DELETE, None, broker, kind=_BROKER)
    change("x", _SET, "5", "x", kind=99)
    config = {"name": "retention.ms", "config_operation": _SET, "value": "5"}
    both.same("incremental_alter_configs", version, **alter_fields(topic, [config, config]))
    same = alter_fields(topic, [config])["resources"]
    both.same("incremental_alter_configs", version, resources=same * 2, validate_only=False)


@versions("alter_configs")
def test_change_all_settings(both: BothBrokers, version: int) -> None:
    topic = both.create_topic(unused_name())

    def change(*configs: tuple[str, str | None], name: str = topic, kind: int = _TOPIC) -> None:
        pairs = [{"name": setting, "value": value} for setting, value in configs]
        both.same("alter_configs", version, **alter_fields(name, pairs, kind))

    change(("retention.ms", "9"))
    change(("retention.ms", "x"))
    change(("retention.ms", None))
    change(("no.such.setting", "1"))
    change(("retention.ms", "1"), ("retention.ms", "2"))
    change()
    change(name="no-such-topic")
    change(name="x", kind=99)


_ONLY_THEIRS = {
    ("retention.bytes", "-2"),  # as good as -1, they say
    ("retention.bytes", "-9223372036854775808"),
}
"""Values that they take and we refuse."""


@pytest.mark.parametrize(
    "setting",
    [one for one in TOPIC_SETTINGS.values() if one.name not in _ONLY_OURS],
    ids=lambda one: one.name,
)
def test_bounds_of_settings_of_a_topic(both: BothBrokers, setting: Setting) -> None:
    """What is allowed at its ends, and just beyond, when a topic is made and when it is changed."""
    topic = both.create_topic(unused_name())
    # A number beyond the largest is to them of no kind: it is refused all the same.
    for value in (*allowed(setting), *refused(setting), *_MORE.get(setting.name, ())):
        new = {"name": unused_name(), "num_partitions": 1, "replication_factor": 1}
        configs = [{"name": setting.name, "value": value}]
        made = both.ask("create_topics", 4, topics=[{**new, "configs": configs}], timeout_ms=30_000)
        config = {**configs[0], "config_operation": _SET}
        changed = both.ask("incremental_alter_configs", 1, **alter_fields(topic, [config]))
        codes = [
            (answers[0]["topics"][0]["error_code"], answers[1]["responses"][0]["error_code"])
            for answers in zip(made, changed, strict=True)
        ]
        if (setting.name, value) in _ONLY_THEIRS:
            assert codes == [(40, 40), (0, 0)], value
        else:
            assert codes[0] == codes[1], value


_MORE = {
    "compression.gzip.level": ("0", "1"),
    "leader.replication.throttled.replicas": ("*", "1:1,2:1"),
    "follower.replication.throttled.replicas": ("*", "1:1,2:1"),
    "cleanup.policy": (" compact , delete ", "compact,compact"),
    "retention.bytes": ("-9223372036854775808",),
    "remote.storage.enable": ("true",),
    "preallocate": (" TRUE ", "True", "1"),
    "retention.ms": (" 5 ", "+5", "5.0", "0x5", ""),
}


def test_settings_of_a_group(both: BothBrokers) -> None:
    """A group need not exist; of new groups only consumers are served, so others have none."""
    group = unused_name()
    interval, session = "consumer.heartbeat.interval.ms", "consumer.session.timeout.ms"
    details = {"include_synonyms": True, "include_documentation": True}

    def same_settings(name: str = group) -> None:
        fields = describe_fields(_GROUP, name, [interval, session], **details)
        both.same_soon("describe_configs", 4, **fields)

    def change(
        setting: str, operation: int, value: str | None, name: str = group, **options: bool
    ) -> None:
        config = {"name": setting, "config_operation": operation, "value": value}
        fields = alter_fields(name, [config], _GROUP, **options)
        both.same("incremental_alter_configs", 1, **fields)
        same_settings(name)

    change(session, _SET, "50000", validate_only=True)
    for value in ("50000", "44999", "60001", "x", "", None, " 51000 "):
        change(session, _SET, value)
    for value in ("6000", "4999", "15001"):
        change(interval, _SET, value)
    both.same_soon("list_config_resources", 1, resource_types=[_GROUP])
    for setting, operation, text in (
        (session, _APPEND, "1"),
        ("x", _SET, "1"),
        ("x", _DELETE, None),
    ):
        change(setting, operation, text)
    change(session, _SET, "50000", name="")
    change(session, _DELETE, None)
    for pairs in ([(session, "50000"), (interval, "7000")], [(interval, "8000")], []):
        configs = [{"name": name, "value": value} for name, value in pairs]
        both.same("alter_configs", 2, **alter_fields(group, configs, _GROUP))
        same_settings()
    both.same_soon("list_config_resources", 1, resource_types=[_GROUP])


_CHANGED_BY_THEM_ALONE = {"listeners", "min.insync.replicas", "unclean.leader.election.enable"}
"""There is one replica, and addresses are taken at the start."""


def test_the_same_settings_of_a_broker_can_be_changed(both: BothBrokers) -> None:
    ours, theirs = map(described, both.ask("describe_configs", 4, **describe_fields(_BROKER, "1")))
    for name in set(ours) & set(theirs) - _CHANGED_BY_THEM_ALONE:
        assert ours[name]["read_only"] == theirs[name]["read_only"], name
    assert not any(theirs[name]["read_only"] for name in _CHANGED_BY_THEM_ALONE)


class _BrokersSettings:
    """Changes of settings of both brokers, and how they are described afterwards."""

    def __init__(self, both: BothBrokers) -> None:
        self._both = both
        self._topic = both.create_topic(unused_name(), segment_bytes="2000000")

    def change(self, setting: str, operation: int, value: str | None, broker: str = "1") -> None:
        config = {"name": setting, "config_operation": operation, "value": value}
        fields = alter_fields(broker, [config], _BROKER)
        self._both.same("incremental_alter_configs", 1, **fields)
        self.same_now([setting])

    def replace(self, settings: dict[str, str], broker: str = "1") -> None:
        pairs = [{"name": name, "value": value} for name, value in settings.items()]
        self._both.same("alter_configs", 2, **alter_fields(broker, pairs, _BROKER))
        self.same_now(["log.roll.ms", "log.retention.bytes", "num.partitions"])

    def same_now(self, settings: list[str]) -> None:
        """Of this broker, of all, and of a topic that takes its own from them."""
        for kind, name, keys in (
            (_BROKER, "1", settings),
            (_BROKER, "", settings),
            (_TOPIC, self._topic, _FROM_THE_BROKER),
        ):
            fields = describe_fields(kind, name, keys, include_synonyms=True)
            self._both.same_soon("describe_configs", 4, **fields)


_FROM_THE_BROKER = ["retention.ms", "segment.bytes", "cleanup.policy", "max.message.bytes"]


def test_settings_of_a_broker_change(both: BothBrokers) -> None:
    """Its own stand above those of all brokers, and these above what it was started with."""
    settings = _BrokersSettings(both)
    for broker in ("1", "", "9", "x"):
        for value in ("400000", "500000", "soon", "", None):
            settings.change("log.retention.ms", _SET, value, broker)
    for name, values in {
        "log.segment.bytes": ("1000000", "2000000"),
        "max.connections": ("-1", "500"),
        "message.max.bytes": ("1.5", "900000"),
        "log.cleanup.policy": ("keep", "compact"),
        "log.roll.ms": ("0", "90000000"),
        "log.cleaner.min.cleanable.ratio": ("1.5", "0.25"),
        "producer.id.expiration.ms": ("0", "70000000"),
        "num.partitions": ("3",),
        "node.id": ("5",),
        "log.retention.hours": ("5",),
        "group.max.size": ("5",),
    }.items():
        for value in values:
            settings.change(name, _SET, value, "")
    settings.change("log.cleanup.policy", _SUBTRACT, "compact")
    settings.change("log.cleanup.policy", _APPEND, "delete")
    settings.change("log.retention.ms", _APPEND, "5")
    settings.replace({"log.roll.ms": "80000000", "log.retention.bytes": "9"})
    settings.replace({"log.roll.ms": "80000000", "num.partitions": "9"})
    settings.replace({})
    settings.replace({"min.insync.replicas": "1"}, "")
    for name in ("log.retention.ms", "num.partitions", "no.such.setting"):
        settings.change(name, _DELETE, None)


def test_where_changes_of_brokers_differ(both: BothBrokers) -> None:
    """What we do not know is refused, lest a misspelt name be taken for a change."""
    for name, value, codes in (
        ("log.retention.mss", "5", [40, 0]),
        ("log.retention.ms", "-5", [42, 0]),
        ("min.insync.replicas", "1", [42, 40]),
    ):
        config = {"name": name, "config_operation": _SET, "value": value}
        fields = alter_fields("1", [config], _BROKER, validate_only=True)
        answers = both.ask("incremental_alter_configs", 1, **fields)
        assert [answer["responses"][0]["error_code"] for answer in answers] == codes


def test_levels_of_the_log(both: BothBrokers) -> None:
    """Loggers are each broker's own but for the root; ours are areas."""

    def change(
        name: str, operation: int, value: str | None, broker: str = "1", **options: bool
    ) -> None:
        config = {"name": name, "config_operation": operation, "value": value}
        fields = alter_fields(broker, [config], _LOGGER, **options)
        both.same("incremental_alter_configs", 1, **fields)

    def root(described: Message) -> Message:
        (found,) = (one for one in described["results"][0]["configs"] if one["name"] == "root")
        return {**found, "documentation": found["documentation"] or None}

    for value in ("DEBUG", "WARN", "ERROR", "loud", "debug", "", None, "INFO"):
        change("root", _SET, value)
        answers = both.ask("describe_configs", 4, **describe_fields(_LOGGER, "1"))
        assert root(answers[0]) == root(answers[1])
    for operation in (_DELETE, _APPEND, _SUBTRACT):
        change("root", operation, "INFO")
    for operation in (_SET, _DELETE):
        change("no.such.logger", operation, "INFO")
    for broker in ("", "9", "x"):
        change("root", _SET, "INFO", broker)
    change("root", _SET, "ERROR", validate_only=True)
    pairs = [{"name": "root", "value": "INFO"}]
    both.same("alter_configs", 2, **alter_fields("1", pairs, _LOGGER))
