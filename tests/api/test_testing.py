"""``TidelogBroker``: started, stopped, abandoned, misused."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from kafka import KafkaAdminClient

from tests.support.tester import check_that_it_ends_with
from tidelog.api import pytest_plugin
from tidelog.testing import BrokerNotStarted, TidelogBroker

ROOT = Path(__file__).resolve().parent.parent.parent
ABANDON = """
import os
from tidelog.testing import TidelogBroker

broker = TidelogBroker()
broker.start()
print(broker.pid, flush=True)
input()
os._exit(1)
"""


def test_the_plugin_documents_the_example_of_the_readme() -> None:
    _, _, example = (inspect.getdoc(pytest_plugin) or "").partition("A test module::\n\n")
    _, _, section = ROOT.joinpath("README.md").read_text().partition("## In your tests\n")
    _, _, block = section.partition("```python\n# pip install . pytest kafka-python\n")
    assert textwrap.dedent(example).strip() == block.partition("```")[0].strip()


def test_a_temporary_directory_goes_and_a_given_one_stays(tmp_path: Path) -> None:
    broker = TidelogBroker()
    with broker:
        broker.create_topic("orders", 2)
        data_dir = broker.data_dir
        assert data_dir.joinpath("orders-1").is_dir()
    assert not data_dir.parent.exists()
    with TidelogBroker(tmp_path / "kept") as broker:
        broker.create_topic("orders", 2, cleanup_policy="compact")
    with TidelogBroker(tmp_path / "kept") as broker:
        admin = KafkaAdminClient(bootstrap_servers=broker.kafka)
        (topic,) = admin.describe_topics(["orders"])
        admin.close()
        assert len(topic["partitions"]) == 2


def test_a_stop_without_a_start_touches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tmp_path.joinpath("kept").touch()
    TidelogBroker().stop()
    assert tmp_path.joinpath("kept").exists()


def test_a_topic_that_cannot_be_says_why() -> None:
    with TidelogBroker() as broker, pytest.raises(ValueError, match="spaces in it"):
        broker.create_topic("spaces in it")


def test_a_broker_that_does_not_start_shows_its_stderr() -> None:
    broker = TidelogBroker(settings={"num.partitions": "none"})
    with pytest.raises(BrokerNotStarted, match=r"status 2(.|\n)*num\.partitions") as raised:
        broker.start()
    assert "none" in raised.value.stderr
    assert not broker.data_dir.parent.exists()


def test_settings_of_the_surroundings_do_not_reach_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.joinpath("tidelog.toml").write_text("nonsense")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIDELOG_HTTP", "nonsense")
    with TidelogBroker(Path("relative")) as broker:
        assert broker.http.startswith("http://127.0.0.1:")
        assert broker.data_dir == tmp_path / "relative" / "data"


def test_the_broker_ends_when_the_process_that_tests_is_killed() -> None:
    check_that_it_ends_with(ABANDON)


def test_an_interrupt_from_the_keyboard_does_not_reach_it() -> None:
    with TidelogBroker() as broker:
        assert os.getpgid(broker.pid) != os.getpgid(0)


def test_until_eof_needs_something_to_end() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tidelog.api.cli", "serve", "--until-eof"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "tidelog: --until-eof needs a pipe as standard input\n"
