"""Every setting of broker, topic and group at the ends of what is allowed, and just beyond."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.http_member import HttpMember
from tests.support.kafka_wire import ConnectionClosed, Message, Wire
from tests.support.running_app import RunningApp
from tests.support.setting_bounds import allowed, refused
from tidelog.api.config import environment_name, load_config
from tidelog.broker.errors import InvalidSetting
from tidelog.broker.settings.broker_settings import BROKER_SETTINGS, PARTITIONS_MAX
from tidelog.broker.settings.setting import Setting
from tidelog.broker.settings.topic_settings import TOPIC_SETTINGS
from tidelog.consumer_groups.own_settings import OWN_SETTINGS
from tidelog.storage.batches.record_batch import encode_batch

INT_MAX, LONG_MAX = str(2**31 - 1), str(2**63 - 1)
SESSION, INTERVAL = "session.timeout.ms", "heartbeat.interval.ms"
OK, CLOSED = "ok", "closed"
TOPIC, GROUP = 2, 32
INVALID_CONFIG = 40

WITH_A_BODY = ("create", "produce", "commit", "join", "retention")
EVERY_CALL = (*WITH_A_BODY, "fetch", "segments", "metrics", "delete")
EXPECTED: dict[tuple[str, str], dict[str, set[str]]] = {
    ("delete.topic.enable", "false"): {"delete": {"403"}},
    ("http.max.body.bytes", "1"): {call: {"413"} for call in WITH_A_BODY},
    ("http.body.timeout.ms", "1"): {call: {OK, "404", "408", CLOSED} for call in EVERY_CALL},
    ("message.max.bytes", "0"): {"produce": {"413"}, "kafka": {"10"}},
    ("log.message.timestamp.before.max.ms", "0"): {"produce": {OK, "422"}, "kafka": {OK, "32"}},
    ("max.connections", "0"): {"kafka": {CLOSED}},
    ("max.connections.per.ip", "0"): {"kafka": {CLOSED}},
    ("socket.request.max.bytes", "1"): {"kafka": {CLOSED}},
    ("connections.max.idle.ms", "1"): {"kafka": {OK, CLOSED}},
    ("group.max.session.timeout.ms", "0"): {"join": {"422"}},
    ("group.min.session.timeout.ms", INT_MAX): {"join": {"422"}},
}
"""What calls come to that a setting refuses at its ends; all others are ``ok``."""

WITH: dict[tuple[str, str], dict[str, str]] = {
    ("group.max.session.timeout.ms", "0"): {"group.min.session.timeout.ms": "0"},
    ("group.min.session.timeout.ms", INT_MAX): {"group.max.session.timeout.ms": INT_MAX},
    (f"group.consumer.{SESSION}", INT_MAX): {f"group.consumer.max.{SESSION}": INT_MAX},
    (f"group.consumer.min.{SESSION}", INT_MAX): {
        f"group.consumer.{SESSION}": INT_MAX,
        f"group.consumer.max.{SESSION}": INT_MAX,
    },
    (f"group.consumer.{INTERVAL}", "1"): {f"group.consumer.min.{INTERVAL}": "1"},
    (f"group.consumer.max.{INTERVAL}", "1"): {
        f"group.consumer.{INTERVAL}": "1",
        f"group.consumer.min.{INTERVAL}": "1",
    },
}
"""Others that have to be set with one, since they are compared with it."""

NEVER = {
    (f"group.consumer.{SESSION}", "1"): f"must be at least group.consumer.min.{SESSION}=45000",
    (f"group.consumer.max.{SESSION}", "1"): f"must be at least group.consumer.min.{SESSION}=45000",
    (f"group.consumer.{INTERVAL}", INT_MAX): f"must be at most group.consumer.max.{INTERVAL}=15000",
    (f"group.consumer.min.{INTERVAL}", INT_MAX): "must be at most group.consumer.max."
    f"{INTERVAL}=15000",
}
"""A heartbeat is to come before the session is over, so that these can never be."""
TOO_MANY_FOR_A_TEST = {
    (name, str(PARTITIONS_MAX)) for name in ("num.partitions", "offsets.topic.num.partitions")
}
NOT_STARTED = {*NEVER, *TOO_MANY_FOR_A_TEST}

WRITES = {
    ("max.message.bytes", "0"): ({10}, {413}),
    ("message.timestamp.before.max.ms", "0"): ({0, 32}, {200, 422}),
}
"""Error codes and statuses of writes to topics that take only some."""

CHANGEABLE = [setting for setting in BROKER_SETTINGS.values() if not setting.read_only]
AT_BOUNDS = [
    (setting.name, value)
    for setting in CHANGEABLE
    for value in allowed(setting)
    if (setting.name, value) not in NOT_STARTED
]


def outcome(call: Callable[[], httpx.Response]) -> str:
    """``ok``, or the status."""
    try:
        answer = call()
    except httpx.TransportError:
        return CLOSED
    return OK if answer.is_success else str(answer.status_code)


def kafka_outcome(address: str, topic: str) -> str:
    """Of a produce and a fetch: ``ok``, the error's number, or ``closed``."""
    wire = Wire(address)
    try:
        code = produce(wire, topic) or fetch(wire, topic)
    except ConnectionClosed:
        return CLOSED
    finally:
        wire.close()
    return str(code) if code else OK


def produce(wire: Wire, topic: str, value: bytes | None = b"value", key: bytes = b"k") -> int:
    batch = bytes(encode_batch([(int(time.time() * 1000), key, value, ())]))
    partition = {"index": 0, "records": batch}
    answer = wire.ask(
        "produce",
        7,
        transactional_id=None,
        acks=-1,
        timeout_ms=60_000,
        topic_data=[{"name": topic, "partition_data": [partition]}],
    )
    code: int = answer["responses"][0]["partition_responses"][0]["error_code"]
    return code


def fetch(wire: Wire, topic: str, offset: int = 0) -> int:
    partition = {"partition": 0, "fetch_offset": offset, "partition_max_bytes": 2**20}
    answer = wire.ask(
        "fetch",
        4,
        max_wait_ms=0,
        min_bytes=0,
        max_bytes=2**20,
        isolation_level=0,
        topics=[{"topic": topic, "partitions": [partition]}],
    )
    code: int = answer["responses"][0]["partitions"][0]["error_code"]
    return code


def large(key: str) -> dict[str, Any]:
    """A request body of 0.8 MB."""
    return {"records": [{"key": f"{key}{n}", "value": "x" * 40_000} for n in range(20)]}


def no_errors(app: RunningApp, caplog: pytest.LogCaptureFixture) -> None:
    assert app.problems == []
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR] == []


def everything(app: RunningApp) -> dict[str, set[str]]:
    """What each kind of call comes to, on a topic of its own."""
    found: dict[str, set[str]] = {}
    offset = {"topic": "t", "partition": 0, "offset": 1}
    with httpx.Client(base_url=app.url, timeout=60) as http:

        def call(name: str, method: str, path: str, body: Any = None) -> None:
            answer = outcome(lambda: http.request(method, path, json=body))
            found.setdefault(name, set()).add(answer)

        call("create", "POST", "/v1/topics", {"name": "t", "partitions": 1})
        if not app.app.broker.topics():
            app.run(app.app.broker.create_topic("t", 1, {}))
        call("produce", "POST", "/v1/topics/t/records", large("a"))
        call("produce", "POST", "/v1/topics/t/records", large("a"))
        call("produce", "POST", "/v1/topics/t/records", {"records": [{"key": "a1"}]})
        call("retention", "POST", "/v1/topics/t/retention:run", {"dry_run": False})
        call("commit", "PUT", "/v1/groups/g/offsets", {"offsets": [offset]})
        call("join", "POST", "/v1/groups/h/members", {"topics": ["t"]})
        found["kafka"] = {kafka_outcome(app.kafka, "t")}
        app.housekeep()
        call("fetch", "GET", "/v1/topics/t/partitions/0/records")
        call("segments", "GET", "/v1/topics/t/segments")
        call("metrics", "GET", "/metrics")
        call("delete", "DELETE", "/v1/topics/t")
    return found


@pytest.mark.parametrize(("name", "value"), AT_BOUNDS)
def test_a_broker(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, value: str) -> None:
    flags = {**WITH.get((name, value), {}), name: value}
    with RunningApp(tmp_path / "data", **flags) as app:
        found = everything(app)
    no_errors(app, caplog)
    expected = EXPECTED.get((name, value), {})
    for call, answers in found.items():
        assert answers <= expected.get(call, {OK}), call
    with RunningApp(tmp_path / "data", **flags) as app:
        app.housekeep()
    no_errors(app, caplog)


@pytest.mark.parametrize("setting", CHANGEABLE, ids=lambda one: one.name)
def test_a_broker_is_not_started_beyond(setting: Setting) -> None:
    for value, said in refused(setting).items():
        for flags, variables in (
            ({setting.name: value}, {}),
            ({}, {environment_name(setting.name): value}),
        ):
            with pytest.raises(InvalidSetting) as raised:
                load_config(flags, variables, Path("/nowhere"))
            assert str(raised.value) == f"{setting.name}={value}: {said}"


def test_settings_that_contradict_each_other() -> None:
    for (name, value), said in NEVER.items():
        with pytest.raises(InvalidSetting, match=re.escape(f"{name}={value}: {said}")):
            load_config({name: value}, {}, Path("/nowhere"))
    below = {f"group.consumer.min.{INTERVAL}": "1", f"group.consumer.max.{INTERVAL}": INT_MAX}
    with pytest.raises(InvalidSetting, match=rf"must be below group\.consumer\.{SESSION}=45000"):
        load_config({**below, f"group.consumer.{INTERVAL}": "45000"}, {}, Path("/nowhere"))


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    with RunningApp(tmp_path_factory.mktemp("broker") / "data") as running:
        yield running


@pytest.fixture
def http(app: RunningApp) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=app.url, timeout=60) as client:
        yield client


@pytest.fixture
def wire(app: RunningApp) -> Iterator[Wire]:
    opened = Wire(app.kafka)
    yield opened
    opened.close()


def create(wire: Wire, name: str, settings: dict[str, str]) -> Message:
    pairs = [{"name": setting, "value": value} for setting, value in settings.items()]
    topic = {"name": name, "num_partitions": 1, "replication_factor": 1, "configs": pairs}
    answer = wire.ask("create_topics", 4, topics=[topic], timeout_ms=60_000)
    found: Message = answer["topics"][0]
    return found


def alter(wire: Wire, kind: int, name: str, settings: dict[str, str]) -> Message:
    configs = [
        {"name": setting, "config_operation": 0, "value": value}
        for setting, value in settings.items()
    ]
    resource = {"resource_type": kind, "resource_name": name, "configs": configs}
    answer = wire.ask("incremental_alter_configs", 1, resources=[resource], validate_only=False)
    found: Message = answer["responses"][0]
    return found


@pytest.mark.parametrize("policy", ["delete", "compact"])
@pytest.mark.parametrize(
    ("name", "value"),
    [(one.name, value) for one in TOPIC_SETTINGS.values() for value in allowed(one)],
)
def test_a_topic(
    app: RunningApp,
    http: httpx.Client,
    wire: Wire,
    caplog: pytest.LogCaptureFixture,
    name: str,
    value: str,
    policy: str,
) -> None:
    """Made over one door, changed over the other; written, read, rolled, cleaned, deleted."""
    due = {"cleanup.policy": policy, "min.cleanable.dirty.ratio": "0"}
    settings = {**due, name: value}
    if policy == "delete":
        assert create(wire, "t", settings)["error_code"] == 0
        assert http.patch("/v1/topics/t", json={"settings": settings}).is_success
    else:
        body = {"name": "t", "partitions": 1, "settings": settings}
        assert http.post("/v1/topics", json=body).status_code == 201
        assert alter(wire, TOPIC, "t", settings)["error_code"] == 0
    by_kafka, by_http = WRITES.get((name, value), ({0}, {200}))
    for _ in range(2):
        assert produce(wire, "t") in by_kafka
        assert produce(wire, "t", None) in by_kafka
        body = {"records": [{"key": "k", "value": "v"}, {"key": "gone", "value": None}]}
        assert http.post("/v1/topics/t/records", json=body).status_code in by_http
        app.run(seal(app, "t"))
        assert http.post("/v1/topics/t/retention:run", json={"dry_run": False}).is_success
        app.housekeep()
    start = http.get("/v1/topics/t").json()["partitions"][0]["start_offset"]
    assert fetch(wire, "t", start) == 0
    assert http.get(f"/v1/topics/t/partitions/0/records?offset={start}").status_code == 200
    assert http.delete("/v1/topics/t").status_code == 204
    no_errors(app, caplog)


async def seal(app: RunningApp, topic: str) -> None:
    partition = app.app.broker.topic(topic).partition(0)
    partition.seal()
    await partition.flushed(partition.end_offset)


@pytest.mark.parametrize("setting", TOPIC_SETTINGS.values(), ids=lambda one: one.name)
def test_a_topic_is_not_made_or_changed_beyond(
    http: httpx.Client, wire: Wire, single: str, setting: Setting
) -> None:
    for value, said in refused(setting).items():
        body = {"name": "never", "partitions": 1, "settings": {setting.name: value}}
        for answer in (
            http.post("/v1/topics", json=body),
            http.patch(f"/v1/topics/{single}", json={"settings": {setting.name: value}}),
        ):
            assert answer.status_code == 422
            assert answer.json()["error"]["code"] == "invalid_setting"
            assert said in answer.json()["error"]["message"]
        for told in (
            create(wire, "never", {setting.name: value}),
            alter(wire, TOPIC, single, {setting.name: value}),
        ):
            assert told["error_code"] == INVALID_CONFIG
            assert said in told["error_message"]


def test_gzip_has_no_level_of_nothing(http: httpx.Client, single: str) -> None:
    settings = {"compression.gzip.level": "0"}
    answer = http.patch(f"/v1/topics/{single}", json={"settings": settings})
    assert "must be one of -1, 1, 2, " in answer.json()["error"]["message"]


BOUNDS_OF_GROUPS = {
    f"group.consumer.{bound}.{what}": value
    for what in (SESSION, INTERVAL)
    for bound, value in (("min", "1"), ("max", INT_MAX))
}


@pytest.mark.parametrize(
    ("interval", "session"), [("1", "2"), ("1", INT_MAX), (str(2**31 - 2), INT_MAX)]
)
def test_a_group(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, interval: str, session: str
) -> None:
    own = {f"consumer.{INTERVAL}": interval, f"consumer.{SESSION}": session}
    assert own.keys() == OWN_SETTINGS.keys()
    with RunningApp(tmp_path / "data", **BOUNDS_OF_GROUPS) as app:
        wire = Wire(app.kafka)
        assert alter(wire, GROUP, "g", own)["error_code"] == 0
        wire.close()
        with httpx.Client(base_url=app.url, timeout=60) as http:
            http.post("/v1/topics", json={"name": "t", "partitions": 1}).raise_for_status()
            member = HttpMember(http, "g", "t")
            # Two milliseconds are over before it has said anything more.
            assert http.delete(member.path).status_code in (204, 404)
        app.housekeep()
    no_errors(app, caplog)


@pytest.mark.parametrize("setting", OWN_SETTINGS.values(), ids=lambda one: one.name)
def test_a_group_is_not_changed_beyond(app: RunningApp, wire: Wire, setting: Setting) -> None:
    what = setting.name.removeprefix("consumer.")
    low, high = f"group.consumer.min.{what}", f"group.consumer.max.{what}"
    broker = app.app.broker.settings
    for value, code, said in (
        (broker[low], 0, ""),
        (broker[high], 0, ""),
        (broker[low] - 1, INVALID_CONFIG, f"must be at least {low}={broker[low]}"),
        (broker[high] + 1, INVALID_CONFIG, f"must be at most {high}={broker[high]}"),
        *((value, INVALID_CONFIG, said) for value, said in refused(setting).items()),
    ):
        told = alter(wire, GROUP, "bounded", {setting.name: str(value)})
        assert told["error_code"] == code
        assert said in (told["error_message"] or "")
