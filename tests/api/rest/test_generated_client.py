"""A client that openapi-python-client makes of the description: readable, and it works."""

from __future__ import annotations

import importlib
import keyword
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.broker_process import BrokerProcess

Call = Callable[..., Any]
pytestmark = pytest.mark.xdist_group("generated client")
_GENERATOR = "openapi-python-client==0.29.1"
_GENERATED = re.compile(r"_v1_|type_?\d|_item$|Item$|Out$|_(get|post|put|patch|delete)$")
"""Parts of names that a generator makes up where a description has none."""


def _run(*command: str | Path, directory: Path, **variables: str) -> str:
    done = subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In an environment of its own: it wants an older Typer than the command line has."""
    directory = tmp_path_factory.mktemp("generator")
    _run(sys.executable, "-m", "venv", directory, directory=directory)
    scripts = directory / "bin"
    command = (scripts / "pip", "install", "--quiet", "--disable-pip-version-check", _GENERATOR)
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"{_GENERATOR} cannot be had here: {done.stderr.strip()[-200:]}")
    return scripts


@pytest.fixture(scope="module")
def package(
    generator: Path, broker: BrokerProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The package, importable as ``tidelog_client``."""
    directory = tmp_path_factory.mktemp("client")
    # It formats what it made with ruff, which it looks for in PATH.
    said = _run(
        *(generator / "openapi-python-client", "generate", "--url", f"{broker.url}/openapi.json"),
        directory=directory,
        PATH=f"{generator}{os.pathsep}{os.environ['PATH']}",
    )
    # Of the four forms of a body that it can be sent it knows two.
    assert set(re.findall(r"WARNING (.*)", said)) == {
        "parsing POST /v1/topics/{topic}/records within records."
    }
    root = directory / "tidelog-client"
    sys.path.insert(0, str(root))
    yield root / "tidelog_client"
    sys.path.remove(str(root))


@pytest.fixture
def call(package: Path, broker: BrokerProcess) -> Iterator[Call]:
    """Calls an operation, by tag and name; the generator makes a module of each."""
    kind = importlib.import_module("tidelog_client").Client
    client = kind(base_url=broker.url, timeout=60, raise_on_unexpected_status=True)

    def call(tag: str, name: str, *arguments: Any, **named: Any) -> Any:
        operation = importlib.import_module(f"tidelog_client.api.{tag}.{name}")
        return operation.sync(*arguments, client=client, **named)

    with client:
        yield call


def model(name: str, /, **fields: Any) -> Any:
    return getattr(importlib.import_module("tidelog_client.models"), name).from_dict(fields)


def test_every_operation_has_a_name(http: httpx.Client) -> None:
    """A verb and what it is about, of one operation."""
    names = [
        operation["operationId"]
        for methods in http.get("/openapi.json").json()["paths"].values()
        for operation in methods.values()
    ]
    assert sorted(set(names)) == sorted(names)
    for name in names:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name), name
        assert not keyword.iskeyword(name)
        assert not _GENERATED.search(name), name


def test_names_are_to_be_read(package: Path) -> None:
    models = importlib.import_module("tidelog_client.models").__all__
    assert {"Topic", "Broker", "Group", "FetchReply", "ProduceRecord", "RecordHeader"} <= set(
        models
    )
    modules = [path.stem for path in package.rglob("*.py")]
    assert [name for name in (*models, *modules) if _GENERATED.search(name)] == []


def test_records_and_topics(call: Call, single: str) -> None:
    made = call("topics", "create_topic", body=model("CreateTopic", name=f"{single}-2"))
    assert (made.name, made.partitions[0].end_offset) == (f"{single}-2", 0)
    records = [{"key": "k", "value": {"n": n}, "headers": {"h": "x"}} for n in range(1000)]
    body = model("ProduceRequest", records=records)
    kept = call("records", "produce_records", single, body=body, idempotency_key="a")
    assert [one.offset for one in kept.records] == list(range(1000))
    again = call("records", "produce_records", single, body=body, idempotency_key="a")
    assert again.duplicate
    page = call("records", "fetch_records", single, 0, offset="998", max_records=9)
    assert [(one.key, one.value) for one in page.records] == [("k", {"n": 998}), ("k", {"n": 999})]
    assert page.next_offset == 1000
    replayed = call("records", "replay_records", single, max_records=3)
    assert [one.offset for one in replayed.records] == [0, 1, 2]
    shown = call("topics", "show_topic", single)
    archived = call("records", "read_page", single, shown.id, 0, 0)
    assert (len(archived.records), archived.next_offset) == (1000, 1000)
    offsets = call("topics", "topic_offsets", single, timestamp="earliest")
    assert [one.offset for one in offsets.offsets] == [0]
    listed = call("topics", "list_topics", prefix=single)
    assert [one.name for one in listed.topics] == [single, f"{single}-2"]


def test_groups(call: Call, single: str) -> None:
    body = model("ProduceRequest", records=[{"value": 1}])
    call("records", "produce_records", single, body=body)
    member = call("groups", "join_group", single, body=model("JoinGroup", topics=[single]))
    place = (single, member.member_id)
    poll = model("PollMember", cursor=member.cursor, wait_ms=10_000)
    page = call("groups", "poll_member", *place, body=poll)
    assert [one.value for one in page.records] == [1]
    cursor = model("CommitCursor", cursor=page.cursor)
    kept = call("groups", "commit_member", *place, body=cursor)
    assert [(one.topic, one.offset) for one in kept.offsets] == [(single, 1)]
    assert call("groups", "show_group", single).total_lag == 0
    call("groups", "leave_group", *place)


def test_errors_and_operating(call: Call) -> None:
    refused = call("topics", "show_topic", "nowhere")
    assert refused.error.code == "unknown_topic"
    assert call("operating", "show_readiness").status.value == "ok"
    assert call("operating", "show_broker").engine == "local"
