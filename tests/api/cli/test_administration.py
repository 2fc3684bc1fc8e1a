"""``tidelog topic``, ``retention`` and ``log``, and what all commands have in common."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.support.broker_process import BrokerProcess, environment
from tests.support.command_line import Ended, tidelog

Run = Callable[..., Ended]


@pytest.fixture
def run(broker: BrokerProcess) -> Run:
    """Runs a command against the shared broker; it must succeed unless ``status`` says else."""

    def run(*arguments: str, status: int = 0, stdin: str = "") -> Ended:
        ended = tidelog(*arguments, "--server", broker.url, stdin=stdin)
        assert ended.status == status, ended.stderr
        return ended

    return run


def rows(ended: Ended) -> list[dict[str, str]]:
    """Tab-separated lines by their heading."""
    heading, *lines = [line.split("\t") for line in ended.lines]
    return [dict(zip(heading, line, strict=True)) for line in lines]


class TestTopic:
    def test_its_life(self, run: Run, http: httpx.Client) -> None:
        made = run("topic", "create", "life", "--partitions", "2", "--set", "retention.ms=5000")
        assert made.stdout == "topic life with 2 partitions\n"
        run("topic", "create", "life", "--if-not-exists")
        again = run("topic", "create", "life", status=1)
        assert again.stderr == "tidelog: topic 'life' exists already\n"
        run("topic", "alter", "life", "--reset", "retention.ms", "--partitions", "3")
        run("topic", "alter", "life", "--set", "segment.bytes=2000000")
        nothing = run("topic", "alter", "life", status=2).stderr
        assert "give --set NAME=VALUE, --reset NAME or --partitions COUNT" in nothing
        unknown = run("topic", "alter", "life", "--reset", "retention.mss", status=1).stderr
        assert "did you mean retention.ms?" in unknown
        shown = json.loads(run("topic", "show", "life", "--json").stdout)
        assert shown == http.get("/v1/topics/life").json()
        changed = {one["name"] for one in shown["settings"] if one["source"] == "topic"}
        assert changed == {"segment.bytes"}
        text = run("topic", "show", "life").stdout
        assert "segment.bytes\t2000000\ttopic" in text
        assert "retention.ms" not in text
        assert (
            "retention.ms\t604800000\tdefault"
            in run("topic", "show", "life", "--all-settings").stdout
        )

    def test_list(self, run: Run, http: httpx.Client, single: str) -> None:
        http.post(f"/v1/topics/{single}/records", json={"records": [{"value": 1}] * 7})
        [row] = [row for row in rows(run("topic", "list")) if row["topic"] == single]
        assert (row["partitions"], row["records"]) == ("1", "7")
        listed = json.loads(run("topic", "list", "--prefix", single, "--json").stdout)
        assert [one["name"] for one in listed] == [single]

    def test_delete_asks(self, run: Run, http: httpx.Client, single: str) -> None:
        run("topic", "delete", single, stdin="n\n", status=1)
        assert http.get(f"/v1/topics/{single}").status_code == 200
        run("topic", "delete", single, stdin="y\n")
        assert http.get(f"/v1/topics/{single}").status_code == 404
        assert "there is no topic" in run("topic", "delete", single, "--yes", status=1).stderr

    @pytest.mark.parametrize(
        ("arguments", "status", "said"),
        [
            (("create", "a b"), 1, "a b"),
            (("create", "t", "--set", "retention.m=1"), 1, "did you mean retention.ms?"),
            (("create", "t", "--set", "retention.ms"), 2, "'retention.ms' is not NAME=VALUE"),
            (("create", "t", "--partitions", "0"), 1, "greater than or equal to 1"),
            (("show", "nowhere"), 1, "there is no topic 'nowhere'"),
            (("show", "a b?c#d%"), 1, "there is no topic 'a b?c#d%'"),
        ],
    )
    def test_bad_input(self, run: Run, arguments: tuple[str, ...], status: int, said: str) -> None:
        ended = run("topic", *arguments, status=status)
        assert (ended.stdout, ended.stderr.count("\n")) == ("", 1)
        assert said in ended.stderr


def test_retention(run: Run, http: httpx.Client, single: str) -> None:
    settings = {"segment.bytes": 1024 * 1024, "retention.bytes": 1000}
    http.patch(f"/v1/topics/{single}", json={"settings": settings})
    for _ in range(2):
        records = [{"value": "x" * 900}] * 1000
        http.post(f"/v1/topics/{single}/records", json={"records": records})
    assert [row["sealed"] for row in rows(run("retention", "show", single))] == ["yes", "no"]
    [going, following] = rows(run("retention", "preview", single))
    assert (going["segment"], going["what"], going["why or when"]) == ("0", "would go", "size")
    assert following["what"] == "next"
    run("retention", "run", single, "--dry-run")
    assert len(rows(run("retention", "show", single))) == 2
    answer = json.loads(run("retention", "run", single, "--json").stdout)
    assert answer["partitions"][0]["expired"][0]["base_offset"] == 0
    assert len(json.loads(run("retention", "show", single, "--json").stdout)) == 1


def test_logs_are_read_without_a_broker(start_broker: Callable[..., BrokerProcess]) -> None:
    broker = start_broker()
    with broker.client() as http:
        http.post("/v1/topics", json={"name": "t", "partitions": 2})
        for partition in (0, 1, 1):
            record = {"key": "k", "value": partition, "headers": {"h": "1"}, "timestamp": 1000}
            http.post(
                "/v1/topics/t/records", json={"records": [{**record, "partition": partition}]}
            )
    broker.stop()
    data_dir = str(broker.data_dir)
    verified = json.loads(tidelog("log", "verify", data_dir, "--json").stdout)
    assert [(one["records"], one["error"]) for one in verified] == [(1, None), (2, None)]
    batches = [json.loads(line) for line in tidelog("log", "dump", data_dir).lines]
    assert [(one["log"], one["base_offset"]) for one in batches] == [
        ("t-0", 0),
        ("t-1", 0),
        ("t-1", 1),
    ]
    flags = ("--records", "--from-offset", "1")
    [record] = [
        json.loads(line) for line in tidelog("log", "dump", f"{data_dir}/t-1", *flags).lines
    ]
    assert (record["offset"], record["timestamp"]) == (1, 1000)
    assert (record["key"], record["value"], record["headers"]) == ("k", "1", [["h", "1"]])
    (broker.data_dir / "empty").mkdir()
    for name, said in (("nowhere", "is not a directory"), ("empty", "holds no logs")):
        ended = tidelog("log", "verify", f"{data_dir}/{name}")
        assert ended.status == 1
        assert said in ended.stderr


class TestEveryCommand:
    def test_version_and_help(self) -> None:
        assert tidelog("--version").stdout.startswith("tidelog 0.")
        shown = tidelog("--help").stdout
        for command in (
            "serve",
            "topic",
            "produce",
            "consume",
            "replay",
            "group",
            "retention",
            "log",
        ):
            assert command in shown

    @pytest.mark.parametrize(
        "arguments",
        [
            *(("nonsense",), ("topic", "nonsense"), ("topic", "show"), ("consume", "--bad")),
            *(("serve", "--bad"), ("serve", "--http"), ("serve", "--data", "x"), ("serve", "x")),
        ],
    )
    def test_used_wrongly(self, arguments: tuple[str, ...]) -> None:
        ended = tidelog(*arguments)
        assert (ended.status, ended.stdout) == (2, "")
        assert (ended.stderr.startswith("tidelog: "), ended.stderr.count("\n")) == (True, 1)

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_completion(self, shell: str) -> None:
        # Otherwise it is for the shell that has started the tests, if any has.
        named = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
        ended = tidelog("--show-completion", shell, variables=named)
        assert ended.status == 0
        assert "_TIDELOG_COMPLETE" in ended.stdout

    def test_what_completes(self) -> None:
        words = {"COMP_WORDS": "tidelog topic cr", "COMP_CWORD": "2"}
        ended = tidelog(variables={"_TIDELOG_COMPLETE": "complete_bash", **words})
        assert ended.lines == ["create"]

    def test_a_reader_that_has_seen_enough(self, broker: BrokerProcess, single: str) -> None:
        with broker.client() as http:
            records = [{"value": "x" * 100}] * 5000
            http.post(f"/v1/topics/{single}/records", json={"records": records})
        with subprocess.Popen(
            [sys.executable, "-m", "tidelog.api.cli", "consume", single, "--server", broker.url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            assert process.stderr.read() == b""
        assert process.returncode == 1

    def test_tables_on_a_terminal(self, broker: BrokerProcess, single: str) -> None:
        shown = on_terminal("topic", "list", "--prefix", single, "--server", broker.url)
        assert single in shown
        assert "\t" not in shown
        assert "─" in shown


def on_terminal(*arguments: str) -> str:
    """What a command prints on a terminal."""
    ours, theirs = pty.openpty()
    variables: dict[str, Any] = {"TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(
        [sys.executable, "-m", "tidelog.api.cli", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(variables),
    ):
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65_536)
            except OSError:  # how Linux says that the other end is closed
                break
            if not part:
                break
            shown += part
    os.close(ours)
    return shown.decode()
