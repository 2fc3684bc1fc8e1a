"""While logs recover: HTTP answers health and metrics, nothing else is served, a stop is heard.

Recovery is held up until the test lets it go on.
"""

from __future__ import annotations

import json
import select
import signal
import socket
import subprocess
from collections.abc import Callable
from typing import IO, Any

import httpx
import pytest

from tests.support.broker_process import BrokerProcess, command, environment
from tests.support.held_up import HeldUp

CLEAN = ".kafka_cleanshutdown"


@pytest.fixture
def held_up(start_broker: Callable[..., BrokerProcess]) -> HeldUp:
    return HeldUp(start_broker())


def ready_line(stdout: IO[bytes] | None) -> Any:
    assert stdout is not None
    return json.loads(stdout.readline() or b"null")


def at_the_pipe(http: httpx.Client) -> httpx.Response:
    """The answer of readiness, once the first partition is done."""
    while True:
        answer = http.get("/health/ready")
        if answer.json()["recovered"] == 1:
            return answer


def test_health_and_metrics_are_answered_while_logs_recover(held_up: HeldUp) -> None:
    with held_up.start() as process, held_up.answers(process) as http:
        answer = at_the_pipe(http)
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        told = answer.json()
        assert (told["status"], told["recovered"], told["total"]) == ("recovering", 1, 3)
        assert 0 < told["recovered_bytes"] < told["total_bytes"]
        assert told["problems"] == told["broken"] == []
        alive = http.get("/health/live")
        assert (alive.status_code, alive.json()["status"]) == (200, "recovering")
        assert http.head("/health/live").status_code == 200
        page = http.get("/metrics")
        assert page.status_code == 200
        assert "kafka_log_logmanager_remaininglogstorecover 2.0" in page.text
        assert process.stdout is not None
        assert not select.select([process.stdout], [], [], 0)[0]
        held_up.let_go_on(process)
        assert ready_line(process.stdout)["http"] == held_up.broker.url
        answer = http.get("/health/ready")
        assert (answer.status_code, answer.json()["status"]) == (200, "ok")
        assert answer.json()["recovered"] == 3
        assert "kafka_log_logmanager_remaininglogstorecover 0.0" in http.get("/metrics").text
        records = http.get("/v1/topics/t/partitions/1/records").json()["records"]
        assert [record["value"] for record in records] == [1]
        socket.create_connection(held_up.kafka.split(":")).close()  # type: ignore[arg-type]


def test_progress_is_logged_and_a_hangup_waits(held_up: HeldUp) -> None:
    with held_up.start() as process, held_up.answers(process) as http:
        at_the_pipe(http)
        process.send_signal(signal.SIGHUP)
        assert process.stderr is not None
        while b"are open" not in (line := process.stderr.readline()):
            assert line
        assert b"INFO broker: 1 of 3 logs are open, 0.0 of 0.0 MiB are checked" in line
        held_up.let_go_on(process)
        assert ready_line(process.stdout)["http"] == held_up.broker.url
        http.get("/health/ready").raise_for_status()
        process.terminate()
        _, told = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"settings were read again" in told
    assert b"the last stop was not clean, " in told


def test_nothing_else_is_served_before(held_up: HeldUp) -> None:
    with held_up.start() as process, held_up.answers(process) as http:
        at_the_pipe(http)
        for method, path in (
            ("GET", "/"),
            ("GET", "/v1/topics"),
            ("GET", "/v1/topics/t"),
            ("GET", "/v1/topics/t/records"),
            ("GET", "/v1/topics/t/partitions/0/records"),
            ("POST", "/v1/topics/t/records"),
            ("DELETE", "/v1/topics/t"),
            ("POST", "/health/ready"),
            ("GET", "/v1/groups"),
            ("GET", "/openapi.json"),
            ("GET", "/nowhere"),
        ):
            answer = http.request(method, path)
            assert answer.status_code == 503, (method, path)
            error = answer.json()["error"]
            assert (error["code"], error["details"]) == ("recovering", {"opened": 1, "total": 3})
            assert answer.headers["retry-after"]
        host, port = held_up.kafka.split(":")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_while_logs_recover_is_heard_at_once(
    held_up: HeldUp, number: signal.Signals
) -> None:
    with held_up.start() as process, held_up.answers(process) as http:
        at_the_pipe(http)
        process.send_signal(number)
        http.get("/health/live")
        held_up.let_go_on(process)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, b"")
    assert b"Traceback" not in err
    assert not (held_up.data_dir / CLEAN).exists()
    if not held_up.pipe.is_file():
        held_up.pipe.unlink()
        held_up.pipe.write_bytes(held_up.epochs)
    held_up.broker.start()
    with held_up.broker.client() as http:
        ends = [one["end_offset"] for one in http.get("/v1/topics/t").json()["partitions"]]
    assert ends == [1, 1, 1]


@pytest.mark.parametrize("door", ["http", "kafka"])
def test_a_port_in_use_is_told_before_logs_recover(held_up: HeldUp, door: str) -> None:
    """Nobody writes into the pipe: recovery would never end."""
    host, port = getattr(held_up, door).split(":")
    with socket.create_server((host, int(port))), held_up.start() as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, b"")
    [line] = err.decode().splitlines()
    assert f"cannot listen on {host}:{port}" in line


def test_a_port_in_use_leaves_a_clean_directory_clean(
    start_broker: Callable[..., BrokerProcess],
) -> None:
    broker = start_broker()
    with broker.client() as http:
        http.post("/v1/topics", json={"name": "t"}).raise_for_status()
    broker.stop()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        process = subprocess.run(
            command(broker.data_dir, "--http", address), capture_output=True, env=environment()
        )
    assert process.returncode == 1
    assert (broker.data_dir / CLEAN).exists()
    broker.start()
    with broker.client() as http:
        [partition] = http.get("/v1/topics/t").json()["partitions"]
    assert partition["leader_epoch"] == 0
