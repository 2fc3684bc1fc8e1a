"""A service manager is told of start, readiness, life and stop, over a real socket."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.broker_process import BrokerProcess
from tests.support.held_up import HeldUp


class Manager:
    """Listens as systemd does; ``told`` is all that came so far, a list of lines a message."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0"))
        self._socket.settimeout(60)
        self.address = address
        self.told: list[list[str]] = []

    def hears(self, line: str) -> list[str]:
        """The first message from now on with a line that begins so."""
        while True:
            message = self._socket.recv(65536).decode().split("\n")
            self.told.append(message)
            if any(one.startswith(line) for one in message):
                return message

    def lines(self) -> list[str]:
        return [line for message in self.told for line in message]

    def fill(self) -> None:
        """Until not one more message has room."""
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as other:
            other.setblocking(False)
            try:
                while True:
                    other.sendto(b"X=1", self.address.replace("@", "\0"))
            except BlockingIOError:
                pass

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["a path", "a name"])
def manager(request: pytest.FixtureRequest) -> Iterator[Manager]:
    # The path of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="notify-") as directory:
        path = f"{directory}/socket"
        with closing(Manager(path if request.param == "a path" else f"@{path}")) as listening:
            yield listening


def start(manager: Manager, directory: Path, **variables: str) -> BrokerProcess:
    environment = {"NOTIFY_SOCKET": manager.address, **variables}
    return BrokerProcess(directory / "data", environment=environment)


@pytest.fixture
def began(manager: Manager, tmp_path: Path) -> Iterator[BrokerProcess]:
    broker = start(manager, tmp_path)
    yield broker
    broker.end()


def test_ready_and_stopping(manager: Manager, began: BrokerProcess) -> None:
    ready = manager.hears("READY=1")
    assert f"STATUS=serving {began.url}, kafka://{began.kafka}" in ready
    began.stop()
    stopping = manager.hears("STOPPING=1")
    assert "EXTEND_TIMEOUT_USEC=70000000" in stopping
    assert manager.lines().count("READY=1") == manager.lines().count("STOPPING=1") == 1
    assert not [line for line in manager.lines() if line.startswith("WATCHDOG")]


def test_the_watchdog_is_fed_while_the_event_loop_turns(manager: Manager, tmp_path: Path) -> None:
    """The interval is half of what is asked for: one message may be late."""
    broker = start(manager, tmp_path, WATCHDOG_USEC="100000")
    try:
        manager.hears("READY=1")
        for _ in range(3):
            assert manager.hears("WATCHDOG=1") == ["WATCHDOG=1"]
        broker.stop()
        manager.hears("STOPPING=1")
    finally:
        broker.end()


@pytest.mark.parametrize("variables", [{"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "0"}])
def test_a_watchdog_that_is_not_ours(
    manager: Manager, tmp_path: Path, variables: dict[str, str]
) -> None:
    broker = start(manager, tmp_path, **{"WATCHDOG_USEC": "1000", **variables})
    broker.stop()
    manager.hears("STOPPING=1")
    assert "WATCHDOG=1" not in manager.lines()


def test_a_recovery_is_followed(
    manager: Manager, start_broker: Callable[..., BrokerProcess]
) -> None:
    held_up = HeldUp(start_broker())
    with held_up.start(NOTIFY_SOCKET=manager.address) as process:
        message = manager.hears("STATUS=recovering: 1 of 3 partitions, ")
        assert message[0].endswith(" MiB read")
        assert "EXTEND_TIMEOUT_USEC=300000000" in message
        assert "READY=1" not in manager.lines()
        held_up.let_go_on(process)
        manager.hears("READY=1")
        process.terminate()
        manager.hears("STOPPING=1")


def test_a_stop_while_logs_recover(
    manager: Manager, start_broker: Callable[..., BrokerProcess]
) -> None:
    held_up = HeldUp(start_broker())
    with held_up.start(NOTIFY_SOCKET=manager.address) as process, held_up.answers(process):
        # It is where it is held up: before, it could end and nobody would take what lets it go on.
        manager.hears("STATUS=recovering: 1 of 3 partitions, ")
        process.terminate()
        manager.hears("STOPPING=1")
        held_up.let_go_on(process)
        assert process.wait(60) == 0
    assert "READY=1" not in manager.lines()


def test_what_has_no_room_is_told_later(manager: Manager, tmp_path: Path) -> None:
    """A manager that is busy holds nobody up."""
    manager.fill()
    broker = start(manager, tmp_path)
    try:
        with broker.client() as http:
            assert http.get("/health/ready").status_code == 200
        manager.hears("READY=1")
    finally:
        broker.end()


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("/nowhere/socket", "nobody listens at NOTIFY_SOCKET: No such file or directory"),
        ("vsock:2:9999", "NOTIFY_SOCKET is not a socket of this machine: vsock:2:9999"),
        ("", None),
    ],
)
def test_without_a_listener(tmp_path: Path, address: str, told: str | None) -> None:
    environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000"}
    broker = BrokerProcess(tmp_path / "data", environment=environment)
    broker.stop()
    lines = [line for line in broker.stderr.splitlines() if "NOTIFY_SOCKET" in line]
    assert [told in line for line in lines] == ([] if told is None else [True])
