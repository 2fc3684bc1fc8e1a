"""What is wrong gets one clear sentence and an exit status or HTTP status, never a traceback.

Bad records, parameters and settings of HTTP calls are beside their routes in ``rest/``.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.broker_process import BrokerProcess
from tests.support.command_line import Ended, tidelog

LOG = "00000000000000000000.log"


def serve(data_dir: Path, *flags: str, http: str = "127.0.0.1:0") -> Ended:
    """A start that is expected to fail."""
    addresses = ("--http", http, "--kafka", "127.0.0.1:0")
    return tidelog("serve", "--data-dir", str(data_dir), *addresses, *flags)


def only_line(ended: Ended) -> str:
    """Nothing on stdout and one sentence on stderr, which is the last line there."""
    assert ended.stdout == ""
    return ended.stderr.splitlines()[-1]


class TestStart:
    def test_a_port_in_use(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            for flags, http, what in (
                ((), address, "--http"),
                (("--kafka", address), "127.0.0.1:0", "--kafka"),
            ):
                ended = serve(tmp_path / "data", *flags, http=http)
                assert ended.status == 1
                assert f"cannot listen on {address}" in only_line(ended)
                assert "Address already in use" in only_line(ended)
                assert what in only_line(ended)

    def test_an_address_that_is_not_ours(self, tmp_path: Path) -> None:
        ended = serve(tmp_path / "data", http="192.0.2.1:8082")
        assert ended.status == 1
        assert "cannot listen on 192.0.2.1:8082" in only_line(ended)
        ended = serve(tmp_path / "data", http="no-such-host.invalid:8082")
        assert ended.status == 1
        assert "cannot listen on no-such-host.invalid:8082" in only_line(ended)

    def test_a_data_directory_in_use(self, broker: BrokerProcess) -> None:
        ended = serve(broker.data_dir)
        assert ended.status == 1
        assert f"{broker.data_dir} is in use by process {broker.process.pid}" in only_line(ended)

    def test_a_data_directory_that_is_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "data").write_text("not a directory")
        (tmp_path / "link").symlink_to("nowhere/at/all")
        for path in (tmp_path / "data", tmp_path / "data" / "below", tmp_path / "link"):
            ended = serve(path)
            assert ended.status == 1
            reason = "it, or what should hold it, is a file or leads nowhere"
            assert f"data directory {path} cannot be used: {reason}" in only_line(ended)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_data_directory_that_may_not_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir(mode=0o500)
        ended = serve(tmp_path / "data")
        assert ended.status == 1
        assert "Permission denied" in only_line(ended)

    def test_a_data_directory_that_cannot_be_read(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "meta.properties").write_bytes(b"version=7\n")
        ended = serve(tmp_path / "data")
        assert ended.status == 1
        assert "meta.properties" in only_line(ended)
        assert (tmp_path / "data" / "meta.properties").read_bytes() == b"version=7\n"

    @pytest.mark.parametrize(
        ("flags", "said"),
        [
            (("--set", "num.partitions=0"), "num.partitions=0: must be at least 1"),
            (("--set", "num.partitions=many"), "must be a whole number"),
            (("--set", "num.partition=4"), "did you mean num.partitions?"),
            (("--set", "num.partitions"), "expected NAME=VALUE"),
            (("--set", "broker.id=x"), "broker.id"),
            (("--http", "8082"), "http: '8082' is not HOST:PORT"),
            (("--http", "localhost:99999"), "is not HOST:PORT"),
            (("--log-level", "loud"), "log.level=loud: must be one of"),
            (("--datadir", "x"), "no such option: --datadir"),
        ],
    )
    def test_a_bad_setting(self, tmp_path: Path, flags: tuple[str, ...], said: str) -> None:
        ended = tidelog("serve", "--data-dir", str(tmp_path / "data"), *flags)
        assert ended.status == 2
        assert said in only_line(ended)
        assert not (tmp_path / "data").exists()

    def test_a_bad_variable_or_file(self, tmp_path: Path) -> None:
        ended = tidelog("serve", variables={"TIDELOG_NUM_PARTITION": "4"}, directory=tmp_path)
        assert ended.status == 2
        assert "did you mean TIDELOG_NUM_PARTITIONS?" in only_line(ended)
        for content, said in (
            ("num.partitions = 4\n", 'write dotted names in quotes: "num'),
            ("no equals sign", "tidelog.toml cannot be read"),
            ('"num.partitions" = "x"\n', "must be a whole number"),
            ('data_dir = "~no-such-user/x"\n', "no user has the home ~no-such-user/x"),
        ):
            (tmp_path / "tidelog.toml").write_text(content)
            ended = tidelog("serve", directory=tmp_path)
            assert ended.status == 2
            assert said in only_line(ended)


class TestDamage:
    @pytest.fixture
    def stopped(self, start_broker: Callable[..., BrokerProcess]) -> BrokerProcess:
        """Three batches in one log, and no broker."""
        broker = start_broker()
        with broker.client() as http:
            http.post("/v1/topics", json={"name": "t", "partitions": 1})
            for n in range(3):
                http.post("/v1/topics/t/records", json={"records": [{"value": f"value-{n}"}]})
        return broker

    def damage(self, broker: BrokerProcess, text: bytes) -> Path:
        path = broker.data_dir / "t-0" / LOG
        data = path.read_bytes()
        assert data.count(text) == 1
        path.write_bytes(data.replace(text, b"x" * len(text)))
        return path

    def test_found_while_reading(self, stopped: BrokerProcess) -> None:
        stopped.stop()
        path = self.damage(stopped, b"value-1")
        stopped.start()
        with stopped.client() as http:
            for target in ("/v1/topics/t/partitions/0/records?offset=0", "/v1/topics/t/records"):
                before = http.get(target).json()["records"]
                assert [one["value"] for one in before] == ["value-0"]
            answer = http.get("/v1/topics/t/partitions/0/records?offset=1")
            error = answer.json()["error"]
            assert (answer.status_code, error["code"]) == (500, "corrupt_batch")
            assert str(path.parent) in error["message"]
            assert "offsets 1 to 1" in error["message"]
            assert error["details"]["next_offset"] == 2
            after = http.get("/v1/topics/t/partitions/0/records?offset=2")
            assert [one["value"] for one in after.json()["records"]] == ["value-2"]
            assert http.get("/health/ready").status_code == 200

    def test_found_at_the_start_after_a_crash(self, stopped: BrokerProcess) -> None:
        stopped.kill()
        (stopped.data_dir / "recovery-point-offset-checkpoint").unlink(missing_ok=True)
        path = self.damage(stopped, b"value-1")
        stopped.start()
        with stopped.client() as http:
            [partition] = http.get("/v1/topics/t").json()["partitions"]
            assert partition["end_offset"] == 1
            [kept] = partition["damage"]
            assert kept.startswith(str(path.parent))
            assert b"value-2" in Path(kept).read_bytes()
            assert http.get("/health/ready").json()["status"] == "degraded"
            http.post("/v1/topics/t/damage:acknowledge").raise_for_status()
            assert http.get("/health/ready").json()["status"] == "ok"
        assert "damage" in stopped.stderr

    def test_found_by_the_command_line(self, stopped: BrokerProcess) -> None:
        stopped.stop()
        assert tidelog("log", "verify", str(stopped.data_dir)).status == 0
        path = self.damage(stopped, b"value-1")
        ended = tidelog("log", "verify", str(stopped.data_dir), "--json")
        assert ended.status == 1
        [found] = [one for one in json.loads(ended.stdout) if one["error"]]
        assert found["file"] == str(path)
        assert "the last sound offset is 0" in found["error"]
        ended = tidelog("log", "dump", str(path.parent))
        assert ended.status == 1
        assert str(path) in ended.stderr


class TestConnection:
    @pytest.fixture
    def connection(self, broker: BrokerProcess) -> Iterator[socket.socket]:
        address = urlsplit(broker.url)
        with socket.create_connection((address.hostname or "", address.port or 0), 30) as made:
            yield made

    def test_a_body_that_is_declared_too_large(
        self, broker: BrokerProcess, connection: socket.socket
    ) -> None:
        head = f"POST /v1/topics HTTP/1.1\r\nHost: {urlsplit(broker.url).netloc}\r\n"
        connection.sendall(head.encode() + b"Content-Length: 999999999999\r\n\r\n")
        connection.sendall(b" " * 1024)
        assert connection.recv(12) == b"HTTP/1.1 413"

    @pytest.mark.parametrize("path", ["/v1/topics", "/v1/topics/t/records"])
    def test_who_sends_slowly_is_not_waited_for(
        self, start_broker: Callable[..., BrokerProcess], path: str
    ) -> None:
        broker = start_broker("--set", "http.body.timeout.ms=200")
        address = urlsplit(broker.url)
        with broker.client() as http:
            http.post("/v1/topics", json={"name": "t", "partitions": 1})
        for part in (
            b"",
            b"GET /v1/broker HTTP/1.1\r\nX-Slow: ",
            f"POST {path} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: 9\r\n\r\n".encode(),
        ):
            where = address.hostname or "", address.port or 0
            with socket.create_connection(where, timeout=30) as slow:
                slow.sendall(part)
                answer = slow.makefile("rb").read()
                assert answer == b"" or answer.startswith(b"HTTP/1.1 408")
        with broker.client() as http:
            assert http.get("/health/live").status_code == 200
            assert http.get("/v1/topics/t").json()["partitions"][0]["end_offset"] == 0


@pytest.mark.parametrize("offset", ["-", "99999999999999999999", "1.5", "+1"])
def test_offsets_that_are_none(http: httpx.Client, single: str, offset: str) -> None:
    path = f"/v1/topics/{single}/partitions/0/records"
    answer = http.get(path, params={"offset": offset})
    assert answer.status_code == 422
    assert "is not a number" in answer.json()["error"]["message"]


@pytest.mark.parametrize("partition", ["-1", "x", "1e3", "9" * 30])
def test_partitions_that_are_none(http: httpx.Client, single: str, partition: str) -> None:
    answer = http.get(f"/v1/topics/{single}/partitions/{partition}/records")
    assert answer.status_code == 422


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_media_type_that_is_none(http: httpx.Client, single: str, kind: str) -> None:
    headers = {"Content-Type": kind}
    answer = http.post(f"/v1/topics/{single}/records", content=b"a=1", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type")
    assert "application/json" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/topics", rb'{"name": "a\ud800"}'),
        ("POST", "/v1/groups/half/members", rb'{"topics": ["a\udcff"]}'),
        (
            "PUT",
            "/v1/groups/half/offsets",
            rb'{"offsets": [{"topic": "t", "partition": 0, "offset": 0, "metadata": "\ud800"}]}',
        ),
    ],
)
def test_half_a_surrogate_pair(http: httpx.Client, method: str, path: str, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = http.request(method, path, content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json")
    assert "half a surrogate pair" in answer.json()["error"]["message"]
