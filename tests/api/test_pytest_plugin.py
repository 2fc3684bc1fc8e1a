"""The pytest plugin, used as other projects use it: in a test run of its own."""

from __future__ import annotations

import os

import pytest

pytest_plugins = ["pytester"]


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Run the tests that were made, without plugins that only cost time here."""
    unused = ("-p", "no:schemathesis", "-p", "no:hypothesispytest")
    return pytester.runpytest_subprocess(*unused, *arguments)


def test_nothing_of_the_broker_comes_into_the_tests(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_use(tidelog_broker, tidelog_topic):
            assert tidelog_broker.data_dir.joinpath(f"{tidelog_topic}-0").is_dir()
            ours = {name for name in sys.modules if name.startswith("tidelog")}
            kit = {f"tidelog.api.testing{name}" for name in ("", ".broker", ".clock", ".process")}
            assert ours == {"tidelog", "tidelog.api", "tidelog.api.pytest_plugin"} | kit
            assert not {"fastapi", "kio", "msgspec", "uvloop"} & set(sys.modules)

        def test_that_the_plugin_alone_loads_nothing():
            assert "tidelog.api.pytest_plugin" in sys.modules
        """
    )
    run(pytester).assert_outcomes(passed=2)


def test_each_worker_has_a_broker_of_its_own_that_ends_with_it(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(
        """
        import os, pathlib, pytest

        @pytest.mark.parametrize("group", [pytest.param(n, marks=pytest.mark.xdist_group(n))
                                           for n in "ab"])
        def test_use(tidelog_broker, tidelog_topic, group):
            here = pathlib.Path(os.environ["BROKERS"])
            here.joinpath(os.environ["PYTEST_XDIST_WORKER"]).write_text(str(tidelog_broker.pid))
        """
    )
    brokers = pytester.mkdir("brokers")
    monkeypatch.setenv("BROKERS", str(brokers))
    result = run(pytester, "-n", "2", "--dist", "loadgroup")
    result.assert_outcomes(passed=2)
    pids = [int(path.read_text()) for path in brokers.iterdir()]
    assert len(set(pids)) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_settings_come_from_a_conftest(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(scope="session")
        def tidelog_settings():
            return {"auto.create.topics.enable": False, "num.partitions": 7}
        """
    )
    pytester.makepyfile(
        """
        from confluent_kafka.admin import AdminClient, ConfigResource

        def test_settings(tidelog_broker):
            admin = AdminClient({"bootstrap.servers": tidelog_broker.kafka})
            broker = ConfigResource(ConfigResource.Type.BROKER, "1")
            shown = admin.describe_configs([broker])[broker].result()
            assert shown["auto.create.topics.enable"].value == "false"
            assert shown["num.partitions"].value == "7"
            assert shown["flush.mode"].value == "os"
        """
    )
    run(pytester).assert_outcomes(passed=1)


def test_a_broker_that_does_not_start_says_why(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(scope="session")
        def tidelog_settings():
            return {"num.partitons": 7}
        """
    )
    pytester.makepyfile("def test_use(tidelog_topic): pass")
    result = run(pytester)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines("*did you mean num.partitions?*")


def test_a_broker_of_the_tests_own_may_be_killed(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_kill(tidelog_own_broker, tidelog_broker):
            tidelog_own_broker.create_topic("orders")
            tidelog_own_broker.kill()
            assert not tidelog_own_broker.running
            tidelog_own_broker.start()
            assert tidelog_own_broker.data_dir.joinpath("orders-0").is_dir()
            assert tidelog_broker.running

        def test_another(tidelog_own_broker):
            assert not tidelog_own_broker.data_dir.joinpath("orders-0").is_dir()
        """
    )
    run(pytester).assert_outcomes(passed=2)


def test_fixtures_in_coroutines(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_mode = auto")
    pytester.makepyfile(
        """
        from aiokafka import AIOKafkaProducer

        async def test_use(tidelog_broker, tidelog_topic):
            async with AIOKafkaProducer(bootstrap_servers=tidelog_broker.kafka) as producer:
                assert (await producer.send_and_wait(tidelog_topic, b"hello")).offset == 0
        """
    )
    run(pytester).assert_outcomes(passed=1)


LOGS = """
    import pytest
    from tidelog.testing import TidelogBroker

    @pytest.fixture(scope="module")
    def broker():
        with TidelogBroker() as broker:
            broker.restart()  # of which the log tells
            yield broker

    def test_first(broker):
        assert broker.running is OUTCOME

    def test_silent(broker):
        assert broker.running is OUTCOME

    def test_loud(broker):
        broker.restart()
        assert broker.running is OUTCOME

    def test_within(broker):
        with TidelogBroker() as another:
            another.restart()
            assert broker.running is OUTCOME

    def test_after(broker):
        with TidelogBroker() as another:
            another.restart()
        assert broker.running is OUTCOME
"""


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_report_has_what_the_brokers_logged_in_that_test(
    pytester: pytest.Pytester, workers: str
) -> None:
    pytester.makepyfile(LOGS.replace("OUTCOME", "False"))
    result = run(pytester, "-n", workers)
    result.assert_outcomes(failed=5)
    logs: dict[str, list[str]] = {}
    for line in result.outlines:
        if line.startswith("____"):
            logs[name := line.strip("_ ")] = []
        elif "Log of <TidelogBroker kafka=" in line:
            logs[name].append("section")
        elif line.startswith("E ") and line.endswith("> logged:"):
            logs[name].append("note")
    assert logs == {
        "test_first": ["section"],
        "test_silent": [],
        "test_loud": ["section"],
        "test_within": ["note"],
        "test_after": [],
    }


def test_reports_of_tests_that_pass_have_no_logs(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(LOGS.replace("OUTCOME", "True"))
    result = run(pytester, "-rA")
    result.assert_outcomes(passed=5)
    assert "Log of" not in result.stdout.str()
