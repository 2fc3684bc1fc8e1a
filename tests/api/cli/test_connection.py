"""Which broker a command speaks to: flags, variables and profiles; TLS and tokens on the way."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.broker_process import BrokerProcess, environment
from tests.support.command_line import Ended, tidelog
from tests.support.foreign_server import ForeignServer
from tests.support.tls_front import TlsFront, make_certificate
from tidelog.api.cli.connection import choose_connection, parse_server
from tidelog.api.cli.failures import UsedWrongly
from tidelog.api.cli.profiles import Profile, Profiles, config_path

CONFIG = """\
use = "home"
[profile.home]
server = "http://home.example"
token = "of-home"
[profile.staging]
server = "https://staging.example:8443/tidelog"
token = "of-staging"
ca_file = "/etc/staging.pem"
"""


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """Those of a user who has profiles."""
    directory = tmp_path / "settings" / "tidelog"
    directory.mkdir(parents=True)
    (directory / "config.toml").write_text(CONFIG)
    return {"XDG_CONFIG_HOME": str(tmp_path / "settings")}


@pytest.mark.parametrize(
    ("server", "host", "port", "secure", "prefix"),
    [
        ("http://127.0.0.1:8082", "127.0.0.1", 8082, False, ""),
        ("http://broker.example", "broker.example", 80, False, ""),
        ("https://broker.example", "broker.example", 443, True, ""),
        ("HTTPS://broker.example/", "broker.example", 443, True, ""),
        ("https://broker.example:8443/logs/", "broker.example", 8443, True, "/logs"),
        ("127.0.0.1:18082", "127.0.0.1", 18082, False, ""),
        ("localhost", "localhost", 8082, False, ""),
        ("localhost/logs", "localhost", 8082, False, "/logs"),
        ("[::1]:18082", "::1", 18082, False, ""),
        ("[::1]", "::1", 8082, False, ""),
    ],
)
def test_addresses(server: str, host: str, port: int, secure: bool, prefix: str) -> None:
    found = parse_server(server)
    assert (found.host, found.port, found.secure, found.prefix) == (host, port, secure, prefix)
    assert found.server == server


@pytest.mark.parametrize(
    ("given", "more", "server", "token"),
    [
        ({}, {}, "http://home.example", "of-home"),
        ({}, {"TIDELOG_PROFILE": "staging"}, "https://staging.example:8443/tidelog", "of-staging"),
        ({}, {"TIDELOG_SERVER": "a:1"}, "a:1", None),
        ({}, {"TIDELOG_SERVER": "a:1", "TIDELOG_PROFILE": "staging"}, "a:1", None),
        ({}, {"TIDELOG_SERVER": "a:1", "TIDELOG_TOKEN": "t"}, "a:1", "t"),
        ({}, {"TIDELOG_TOKEN": "t"}, "http://home.example", "t"),
        ({"server": "b:2"}, {"TIDELOG_SERVER": "a:1"}, "b:2", None),
        ({"server": "b:2", "profile": "staging"}, {}, "b:2", None),
        ({"server": "b:2", "token": "u"}, {"TIDELOG_TOKEN": "t"}, "b:2", "u"),
        (
            {"profile": "staging"},
            {"TIDELOG_SERVER": "a:1"},
            "https://staging.example:8443/tidelog",
            "of-staging",
        ),
        ({"profile": "home", "token": "u"}, {}, "http://home.example", "u"),
    ],
)
def test_what_counts(
    variables: dict[str, str],
    given: dict[str, str],
    more: dict[str, str],
    server: str,
    token: str | None,
) -> None:
    found = choose_connection(given, {**variables, **more})
    assert (found.server, found.token) == (server, token)


def test_without_anything_it_is_this_machine(tmp_path: Path) -> None:
    for home in ({"XDG_CONFIG_HOME": str(tmp_path)}, {"HOME": str(tmp_path)}):
        found = choose_connection({}, home)
        assert (found.host, found.port, found.token) == ("127.0.0.1", 8082, None)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"profile": "nowhere"}, "there are: home, staging"),
        ({"token": "two words"}, "one word"),
        ({"token": "gr\u00fcn"}, "one word"),
        ({"token": "line\nend"}, "one word"),
        ({"server": "a:1", "ca_file": "/x.pem"}, "go with https, not with a:1"),
        ({"server": "a:1", "insecure": True}, "go with https"),
    ],
)
def test_what_cannot_be(variables: dict[str, str], given: dict[str, str], said: str) -> None:
    with pytest.raises(UsedWrongly, match=said):
        choose_connection(given, variables)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("use = ", "cannot be read"),
        ("\udcff", "cannot be read"),
        ("use = 3", "use is a name"),
        ('use = "x"', "no such profile"),
        ('server = "a:1"', "server is not known"),
        ("[profile.a]", "has no server"),
        ('[profile.a]\nserver = "a:1"\ncolour = "red"', "colour"),
        ("[profile.a]\nserver = 1", "server"),
        ("profile = 1", "use is a name"),
    ],
)
def test_files_that_are_wrong(variables: dict[str, str], content: str, said: str) -> None:
    Path(config_path(variables)).write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(UsedWrongly, match=said):
        choose_connection({}, variables)
    assert choose_connection({"server": "a:1"}, variables).host == "a"


TEXTS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20)


@given(
    by_name=st.dictionaries(
        st.from_regex(r"[A-Za-z0-9._-]{1,9}", fullmatch=True),
        st.builds(Profile, TEXTS, st.none() | TEXTS, st.none() | TEXTS, st.booleans()),
        max_size=4,
    ),
    data=st.data(),
)
def test_profiles_outlive_their_file(
    by_name: dict[str, Profile], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = {"XDG_CONFIG_HOME": str(tmp_path_factory.getbasetemp() / "xdg")}
    used = data.draw(st.none() | st.sampled_from(sorted(by_name))) if by_name else None
    profiles = Profiles(config_path(home), by_name, used)
    profiles.save()
    assert Profiles.load(home) == profiles
    assert stat.S_IMODE(Path(profiles.path).stat().st_mode) == 0o600


class TestProfile:
    def test_its_life(self, broker: BrokerProcess, single: str, tmp_path: Path) -> None:
        def run(*arguments: str, status: int = 0) -> Ended:
            ended = tidelog(*arguments, variables={"XDG_CONFIG_HOME": str(tmp_path)})
            assert ended.status == status, ended.stderr
            return ended

        assert "is in use" in run("profile", "add", "here", broker.url).stdout
        run("profile", "add", "there", "https://there.example", "--token", "secret")
        assert single in run("topic", "ls").stdout
        assert "no broker answers" in run("topic", "ls", "--server", "127.0.0.1:1", status=1).stderr
        shown = run("profile", "ls").stdout
        assert "secret" not in shown
        assert shown.splitlines()[1:] == [
            f"here\t{broker.url}\tyes\t\t",
            "there\thttps://there.example\t\tyes\t",
        ]
        run("profile", "use", "there")
        listed = json.loads(run("profile", "list", "--json").stdout)
        assert [(one["name"], one["used"]) for one in listed] == [("here", False), ("there", True)]
        assert single in run("--profile", "here", "topic", "ls").stdout
        run("profile", "rm", "there")
        assert "there are: here" in run("profile", "use", "there", status=2).stderr
        assert run("profile", "ls").stdout.splitlines()[1:] == [f"here\t{broker.url}\t\t\t"]

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("a b", "http://a"), "letters, digits"),
            (("a", "a b"), "not the address of a broker"),
            (("a", "a:1", "--token", "a b"), "one word"),
            (("a", "a:1", "--insecure"), "https"),
        ],
    )
    def test_what_is_refused(self, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
        variables = {"XDG_CONFIG_HOME": str(tmp_path)}
        ended = tidelog("profile", "add", *arguments, variables=variables)
        assert (ended.status, ended.stdout) == (2, "")
        assert said in ended.stderr
        assert not list(tmp_path.iterdir())

    def test_a_directory_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        variables = {"XDG_CONFIG_HOME": str(tmp_path / "file")}
        ended = tidelog("profile", "add", "a", "a:1", variables=variables)
        assert (ended.status, ended.stderr.count("\n")) == (1, 1)
        assert "cannot be written" in ended.stderr


class TestWhereServerStands:
    @pytest.mark.parametrize(
        "words",
        [
            "--server URL topic list",
            "topic --server URL list",
            "topic list --server URL",
            "--server nowhere.invalid topic list --server URL",
        ],
    )
    def test_before_or_after(self, broker: BrokerProcess, single: str, words: str) -> None:
        for url in (broker.url, broker.url.removeprefix("http://")):
            ended = tidelog(*words.replace("URL", url).split())
            assert (ended.status, single in ended.stdout) == (0, True)


@pytest.fixture(scope="module")
def front(
    broker: BrokerProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[TlsFront, Path]]:
    certificate, key = make_certificate(tmp_path_factory.mktemp("tls"))
    port = int(broker.url.rpartition(":")[2])
    with TlsFront(certificate, key, port) as front:
        yield front, certificate


class TestTls:
    def test_a_certificate_that_is_trusted(self, front: tuple[TlsFront, Path], single: str) -> None:
        server, certificate = front
        ended = tidelog("topic", "ls", "--server", server.url, "--ca-file", str(certificate))
        assert (ended.status, single in ended.stdout) == (0, True)
        variables = {"TIDELOG_SERVER": server.url, "TIDELOG_CA_FILE": str(certificate)}
        assert tidelog("topic", "ls", variables=variables).status == 0
        written = tidelog("produce", single, "over TLS", variables=variables)
        assert written.status == 0, written.stderr
        assert "over TLS" in tidelog("consume", single, variables=variables).stdout
        assert "over TLS" in tidelog("replay", single, variables=variables).stdout

    def test_one_that_is_not(self, front: tuple[TlsFront, Path], tmp_path: Path) -> None:
        server = front[0].url
        ended = tidelog("topic", "ls", "--server", server)
        assert (ended.status, ended.stderr.count("\n")) == (1, 1)
        assert "--ca-file" in ended.stderr
        assert tidelog("topic", "ls", "--server", server, "--insecure").status == 0
        for path in (tmp_path / "nothing.pem", tmp_path):
            ended = tidelog("topic", "ls", "--server", server, "--ca-file", str(path))
            assert (ended.status, ended.stderr.count("\n")) == (2, 1)
            assert f"{path} is no file of certificates" in ended.stderr

    def test_a_broker_without_tls(self, broker: BrokerProcess) -> None:
        ended = tidelog("topic", "ls", "--server", broker.url.replace("http:", "https:"))
        assert (ended.status, ended.stderr.count("\n")) == (1, 1)
        assert "try http" in ended.stderr

    def test_a_token_is_sent(self, front: tuple[TlsFront, Path], topics: object) -> None:
        server = front[0]
        for flags, variables in (
            (["--token", "of-a-flag"], {}),
            ([], {"TIDELOG_TOKEN": "of-a-variable"}),
        ):
            for words in (["topic", "ls"], ["replay", "no-such-topic"]):
                tidelog(
                    *(*flags, *words, "--insecure", "--server", server.url), variables=variables
                )
                token = flags[-1] if flags else variables["TIDELOG_TOKEN"]
                assert f"Authorization: Bearer {token}\r\n".encode() in server.heard
                server.heard = b""


@pytest.mark.parametrize(
    ("status", "more", "said"),
    [
        ("401 Unauthorized", "", "--token or TIDELOG_TOKEN"),
        ("301 Moved Permanently", "Location: https://there.example/\r\n", "https://there.example/"),
    ],
)
def test_what_a_proxy_says(status: str, more: str, said: str) -> None:
    head = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n{more}\r\n"
    with ForeignServer(head.encode()) as server:
        ended = tidelog("topic", "ls", "--server", server.url)
    assert (ended.status, ended.stderr.count("\n")) == (1, 1)
    assert said in ended.stderr


def test_completion_of_names(broker: BrokerProcess, single: str) -> None:
    def offered(words: str, **variables: str) -> list[str]:
        typed = {"_TIDELOG_COMPLETE": "complete_bash", "COMP_WORDS": words}
        typed["COMP_CWORD"] = str(len(words.split(" ")) - 1)
        ended = tidelog(variables={"TIDELOG_SERVER": broker.url, **typed, **variables})
        assert ended.stderr == ""
        return [line for line in ended.lines if line]

    begin = single[: len(single) // 2 + 1]
    assert single in offered(f"tidelog consume {begin}")
    assert single in offered("tidelog topic describe ")
    assert single in offered(f"tidelog --server {broker.url} topic rm {begin}", TIDELOG_SERVER="")
    assert "__consumer_offsets" not in offered("tidelog topic show ")
    with broker.client() as http:
        offsets = {"offsets": [{"topic": single, "partition": 0, "offset": 0}]}
        http.put("/v1/groups/who-completes/offsets", json=offsets).raise_for_status()
    assert offered("tidelog group show who-c") == ["who-completes"]
    assert offered("tidelog consume x", TIDELOG_SERVER="http://127.0.0.1:1") == []
    assert offered("tidelog consume x", TIDELOG_SERVER="not a url") == []
    assert "--data-dir" in offered("tidelog serve --d")


def test_completion_in_a_shell(broker: BrokerProcess, single: str) -> None:
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    named = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    script = tidelog("--show-completion", "bash", variables=named).stdout
    begin = single[:-1]
    typed = f"""
        {script}
        COMP_WORDS=(tidelog topic show {begin}); COMP_CWORD=3
        _tidelog_completion tidelog
        printf '%s\n' "${{COMPREPLY[@]}}"
    """
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    variables = environment({"TIDELOG_SERVER": broker.url, "PATH": path})
    done = subprocess.run(
        ["bash", "--norc", "-c", typed], env=variables, capture_output=True, text=True, timeout=60
    )
    assert single in done.stdout.splitlines(), done.stderr
