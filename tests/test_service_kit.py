"""docs/service: what a broker as a service needs, taken by the programs it is for."""

from __future__ import annotations

import json
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.broker_process import BrokerProcess, environment
from tests.support.certificates import Certificate, certify
from tests.support.kafka_wire import ConnectionClosed, decode_response, encode_request
from tests.support.nginx import Nginx, nginx_with

ROOT = Path(__file__).resolve().parent.parent
KIT = ROOT / "docs" / "service"
TIDELOG = Path(sys.executable).parent / "tidelog"


class TestUnit:
    def test_systemd_has_nothing_to_say(self, tmp_path: Path) -> None:
        if shutil.which("systemd-analyze") is None:
            pytest.skip("systemd is not here")
        unit = tmp_path / "tidelog.service"
        text = (KIT / "tidelog.service").read_text()
        assert "ExecStart=/opt/tidelog/bin/tidelog serve " in text
        unit.write_text(text.replace("/opt/tidelog/bin/tidelog", str(TIDELOG)))
        ended = subprocess.run(
            ["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60
        )
        assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")

    def test_what_it_starts_is_a_command_of_ours(self, tmp_path: Path) -> None:
        """With the sample of settings; only the addresses and directories are the test's."""
        command = re.search(
            r"^ExecStart=\S+/tidelog (serve .*)$", (KIT / "tidelog.service").read_text(), re.M
        )
        assert command is not None
        arguments = command[1].replace("/etc/tidelog/", f"{KIT}/").split()
        own = {"TIDELOG_DATA_DIR": str(tmp_path / "data"), "TIDELOG_HTTP": "127.0.0.1:0"}
        with subprocess.Popen(
            [TIDELOG, *arguments],
            stdout=subprocess.PIPE,
            env=environment({**own, "TIDELOG_KAFKA": "127.0.0.1:0"}),
            cwd=tmp_path,
        ) as process:
            assert process.stdout is not None
            try:
                ready = json.loads(process.stdout.readline())
                health = httpx.get(f"{ready['http']}/health/ready").json()
                process.terminate()
                assert (process.wait(60), health["status"]) == (0, "ok")
            finally:
                process.kill()


class TestContainer:
    text = (KIT / "Containerfile").read_text()

    def test_what_it_copies_is_there(self) -> None:
        copied = re.findall(r"^COPY (?!--)(.*) \S+$", self.text, re.MULTILINE)
        names = [name for line in copied for name in line.split()]
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())
        packages = project["tool"]["setuptools"]["package-dir"].values()
        assert all(any(Path(one).is_relative_to(name) for name in names) for one in packages)
        assert all((ROOT / name).exists() for name in names)

    def test_its_versions_are_those_of_the_lock_file(self, tmp_path: Path) -> None:
        command = re.search(r"sed -n '(.*?)' requirements.lock", self.text)
        assert command is not None
        versions = subprocess.run(
            ["sed", "-n", command[1], ROOT / "requirements.lock"],
            capture_output=True,
            check=True,
            text=True,
        ).stdout.splitlines()
        assert len(versions) > 20
        assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in versions), versions
        assert any(line.startswith("uvloop==") for line in versions)

    def test_it_starts_with_its_variables(self, tmp_path: Path) -> None:
        variables = dict(re.findall(r"\b(TIDELOG_\w+)=(\S+)", self.text))
        assert set(variables) == {"TIDELOG_DATA_DIR", "TIDELOG_HTTP", "TIDELOG_KAFKA"}
        assert 'ENTRYPOINT ["tidelog", "serve"]' in self.text
        ended = subprocess.run(
            [TIDELOG, "serve", "--show-settings", "--json"],
            env=environment(variables),
            capture_output=True,
            check=True,
            cwd=tmp_path,
        )
        shown = {one["name"]: one for one in json.loads(ended.stdout)}
        assert shown["data_dir"]["value"] == "/var/lib/tidelog"
        assert {shown[name]["source"] for name in ("data_dir", "http", "kafka")} == {"environment"}

    def test_its_health_is_asked_for_where_it_answers(self, broker: BrokerProcess) -> None:
        check = re.search(r"HEALTHCHECK .*\\\n\s+CMD (\[.*\])$", self.text, re.MULTILINE)
        assert check is not None
        _, *arguments = json.loads(check[1])
        there = [one.replace("http://127.0.0.1:8082", broker.url) for one in arguments]
        assert there != arguments
        subprocess.run([sys.executable, *there], check=True, timeout=60)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certify("log.example", tmp_path_factory.mktemp("certificate"))


def sample(name: str, certificate: Certificate, replaced: dict[str, str]) -> str:
    """A file of the kit with the test's certificate, and sockets instead of ports."""
    text = (KIT / name).read_text()
    text = re.sub(r"^ *listen \[::\]:.*$", "", text, flags=re.MULTILINE)
    paths = {
        "/etc/ssl/tidelog/fullchain.pem": str(certificate.chain),
        "/etc/ssl/tidelog/key.pem": str(certificate.key),
    }
    for old, new in {**paths, **replaced}.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module")
def web_front(
    broker: BrokerProcess,
    certificate: Certificate,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Nginx]:
    users = tmp_path_factory.mktemp("users") / "users"
    users.write_text("ada:{PLAIN}secret\n")
    users.chmod(0o644)
    replaced = {
        "listen 80;": "listen unix:DIRECTORY/plain;",
        "listen 443 ": "listen unix:DIRECTORY/socket ",
        "http://127.0.0.1:8082": broker.url,
        "/etc/nginx/tidelog.users": str(users),
    }
    with nginx_with(sample("nginx.conf", certificate, replaced)) as running:
        yield running


class TestTlsForHttp:
    @pytest.fixture
    def web(self, web_front: Nginx, certificate: Certificate) -> Iterator[httpx.Client]:
        transport = httpx.HTTPTransport(
            uds=str(web_front.socket), verify=certificate.client_context(), http2=False
        )
        base = "https://log.example"
        with httpx.Client(base_url=base, transport=transport, timeout=60) as client:
            yield client

    def test_a_round_trip(self, web: httpx.Client, single: str) -> None:
        web.auth = ("ada", "secret")
        path = f"/v1/topics/{single}"
        made = web.post(f"{path}/records", json={"records": [{"value": "over TLS"}]})
        assert made.status_code == 200
        [record] = web.get(f"{path}/partitions/0/records").json()["records"]
        assert record["value"] == "over TLS"
        page = {"Origin": "https://log.example", "Sec-Fetch-Site": "same-origin"}
        again = web.post(f"{path}/records", json={"records": [{"value": 2}]}, headers=page)
        assert again.status_code == 200

    def test_nobody_comes_in_without_a_password(self, web: httpx.Client, single: str) -> None:
        assert web.get("/v1/topics").status_code == 401
        assert web.get("/v1/topics", auth=("ada", "wrong")).status_code == 401
        assert web.get("/metrics").status_code == 403
        assert web.get("/health/ready").json()["status"] == "ok"

    def test_events_come_one_by_one(
        self, web: httpx.Client, http: httpx.Client, single: str
    ) -> None:
        web.auth = ("ada", "secret")
        events = {"Accept": "text/event-stream"}
        with web.stream("GET", f"/v1/topics/{single}/records", headers=events) as answer:
            lines = answer.iter_lines()
            for value in range(2):
                http.post(f"/v1/topics/{single}/records", json={"records": [{"value": value}]})
                event = [next(lines) for _ in range(3)]
                assert f'"value":{value}' in event[1]

    def test_without_tls_one_is_sent_on(self, web_front: Nginx) -> None:
        transport = httpx.HTTPTransport(uds=str(web_front.socket.parent / "plain"))
        with httpx.Client(base_url="http://log.example", transport=transport) as plain:
            answer = plain.post("/v1/topics?dry_run=true", json={})
        location = answer.headers["location"]
        assert (answer.status_code, location) == (
            308,
            "https://log.example/v1/topics?dry_run=true",
        )


@pytest.fixture(scope="module")
def kafka_front(broker: BrokerProcess, certificate: Certificate) -> Iterator[Nginx]:
    if not Path("/usr/lib/nginx/modules/ngx_stream_module.so").exists():
        pytest.skip("nginx's stream module is not here")
    replaced = {
        "listen 9093 ": "listen unix:DIRECTORY/kafka ",
        "127.0.0.1:9092": broker.kafka,
        "/etc/ssl/tidelog/clients.pem": str(certificate.chain),
    }
    stream = sample("nginx-kafka.conf", certificate, replaced)
    with nginx_with("", stream=stream) as running:
        yield running


class TestTlsForKafka:
    def ask(self, kafka_front: Nginx, context: ssl.SSLContext) -> int:
        """How many APIs it tells of."""
        with socket.socket(socket.AF_UNIX) as plain:
            plain.connect(str(kafka_front.socket.parent / "kafka"))
            with context.wrap_socket(plain, server_hostname="log.example") as connection:
                connection.sendall(encode_request("api_versions", 0, {}))
                with connection.makefile("rb") as stream:
                    length = int.from_bytes(stream.read(4), "big")
                    if not (frame := stream.read(length)):
                        raise ConnectionClosed
        _, answer = decode_response("api_versions", 0, frame)
        return len(answer["api_keys"])

    def test_those_with_a_certificate_come_in(
        self, kafka_front: Nginx, certificate: Certificate
    ) -> None:
        context = certificate.client_context()
        context.load_cert_chain(certificate.chain, certificate.key)
        assert self.ask(kafka_front, context) > 20

    def test_nobody_else_does(self, kafka_front: Nginx, certificate: Certificate) -> None:
        with pytest.raises((ssl.SSLError, ConnectionError, ConnectionClosed)):
            self.ask(kafka_front, certificate.client_context())
