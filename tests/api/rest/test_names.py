"""Whatever Apache Kafka allows as a name is reached by its path, whatever is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.broker_process import BrokerProcess
from tests.support.coordinator_site import Site
from tests.support.raw_http import Answer, call
from tidelog.api.config import load_config
from tidelog.api.errors import ApiError
from tidelog.api.http.target import path_of, segments
from tidelog.api.rest.administration import members
from tidelog.api.rest.administration.app import build_app
from tidelog.api.rest.context import RestContext

NAMES = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=40)
ODD = (
    *(
        "team/app",
        "/",
        "//",
        "a/members",
        "a/offsets",
        "../x",
        "..",
        ".",
        "%",
        "%2F",
        "%zz",
        "a%25b",
    ),
    *(
        "日本",
        "grüße",
        "🙂",
        "a b",
        "a+b",
        "a?b",
        "a#b",
        "a:b",
        "offsets:reset",
        "members",
        "a;b=c",
    ),
    *("\n", "a\r\nX-Injected: 1", "\x00", "\\", '"', "'", "<script>", "é"),
)


class Caller:
    """Calls of one group, each with its name encoded."""

    def __init__(self, url: str, group: str) -> None:
        self._url = url
        self._path = path_of("v1", "groups", group)

    def __call__(self, method: str, path: str = "", body: Any = None) -> Answer:
        return call(self._url, method, self._path + path, body)

    def ok(self, method: str, path: str = "", body: Any = None) -> Any:
        answer = self(method, path, body)
        assert answer.status < 300, answer
        return answer.json if answer.body else None


def odd(test: Any) -> Any:
    """Tries all odd names beside those that Hypothesis finds."""
    for name in ODD:
        test = example(name)(test)
    return test


@odd
@given(NAMES)
def test_a_path_is_read_as_it_was_written(name: str) -> None:
    path = path_of("v1", name, "x")
    assert path.isascii()
    assert path.count("/") == 3
    assert segments(path.encode()) == ["", "v1", name, "x"]
    assert segments(f"/{quote(name, safe='')}".encode()) == ["", name]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (b"/v1/%", "hexadecimal"),
        (b"/v1/%4", "hexadecimal"),
        (b"/v1/%zz", "hexadecimal"),
        (b"/v1/%%20", "hexadecimal"),
        (b"/v1/%ff", "not UTF-8"),
        (b"/v1/%c3/%a9", "not UTF-8"),
        (b"/v1/%ed%a0%80", "not UTF-8"),
        (b"/v1/%c0%af", "not UTF-8"),
    ],
)
def test_an_escape_that_is_none(path: bytes, said: str) -> None:
    with pytest.raises(ApiError, match=said) as raised:
        segments(path)
    assert (raised.value.status, raised.value.code) == (400, "invalid_path")


@pytest.fixture
def filled(http: httpx.Client, single: str) -> str:
    """A topic with one record."""
    http.post(f"/v1/topics/{single}/records", json={"records": [{"value": 1}]}).raise_for_status()
    return single


@odd
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(NAMES)
def test_the_life_of_a_group(broker: BrokerProcess, filled: str, name: str) -> None:
    group = Caller(broker.url, name)
    answer = group("POST", "/members", {"topics": [filled]})
    assert answer.status == 201, answer
    joined = answer.json
    member = "/members/" + joined["member_id"]
    assert answer.headers["location"] == path_of("v1", "groups", name) + member
    polled = group.ok("POST", f"{member}/poll", {"cursor": joined["cursor"]})
    assert [one["value"] for one in polled["records"]] == [1]
    group.ok("POST", f"{member}/commit", {"cursor": polled["cursor"]})
    [place] = group.ok("GET", "/offsets")["offsets"]
    assert (place["topic"], place["offset"]) == (filled, 1)
    shown = group.ok("GET")
    assert shown["group"] == name
    assert [one["member_id"] for one in shown["members"]] == [joined["member_id"]]
    group.ok("DELETE", member)
    [change] = group.ok("POST", "/offsets:reset", {"to": "earliest"})["changes"]
    assert (change["before"], change["after"]) == (1, 0)
    listed = call(broker.url, "GET", f"/v1/groups?prefix={quote(name, safe='')}").json["groups"]
    assert name in [one["group"] for one in listed]
    assert call(broker.url, "GET", "/metrics").status == 200
    assert group("DELETE", f"/offsets?topic={filled}").status == 204
    assert group("DELETE").status in (204, 404)
    assert group("GET").status == 404


@pytest.mark.parametrize("name", ODD)
def test_members_and_instances_of_any_name(broker: BrokerProcess, filled: str, name: str) -> None:
    group = Caller(broker.url, f"instances of {name}")
    joined = group.ok("POST", "/members", {"topics": [filled], "instance_id": name})
    member = "/members/" + joined["member_id"]
    assert group.ok("GET")["members"][0]["instance_id"] == name
    unknown = path_of("members", name)
    for method, path, body in (
        ("DELETE", "", None),
        ("POST", "/poll", {"cursor": "x"}),
        ("POST", "/commit", {"cursor": "x"}),
    ):
        answer = group(method, unknown + path, body)
        assert (answer.status, answer.code) == (404, "unknown_member")
        assert answer.json["error"]["details"]["member"] == name
    assert group("DELETE", member).status == 204


@pytest.mark.parametrize("name", sorted({*ODD} - {"members"}))
def test_topics_that_cannot_be(broker: BrokerProcess, name: str) -> None:
    topic = path_of("v1", "topics", name)
    answer = call(broker.url, "POST", "/v1/topics", {"name": name})
    assert (answer.status, answer.code) == (422, "invalid_topic_name")
    for method, path, body in (
        ("GET", "", None),
        ("DELETE", "", None),
        ("PATCH", "", {}),
        ("GET", "/offsets", None),
        ("GET", "/records", None),
        ("POST", "/records", {"records": [{"value": 1}]}),
        ("GET", "/partitions/0/records", None),
        ("DELETE", "/partitions/0/records?before_offset=0", None),
        ("GET", "/segments", None),
        ("GET", "/retention", None),
        ("POST", "/retention:run", None),
        ("POST", "/damage:acknowledge", None),
    ):
        answer = call(broker.url, method, topic + path, body)
        assert (answer.status, answer.code) == (404, "unknown_topic"), (method, path)
        assert answer.json["error"]["details"]["topic"] == name


@pytest.mark.parametrize("name", ["a.b_c-D", "...", "-", "_", "x" * 249])
def test_topics_of_every_letter_there_is(broker: BrokerProcess, name: str) -> None:
    """However a client encodes them."""
    made = call(broker.url, "POST", "/v1/topics", {"name": name})
    assert (made.status, made.headers["location"]) == (201, f"/v1/topics/{name}")
    escaped = "".join(f"%{ord(letter):02x}" for letter in name)
    records = {"records": [{"value": 1}]}
    for written in (name, escaped):
        topic = f"/v1/%74opics/{written}"
        assert call(broker.url, "POST", f"{topic}/records", records).status == 200
        assert call(broker.url, "GET", f"{topic}/partitions/%30/records").status == 200
        assert call(broker.url, "GET", topic).json["name"] == name
        assert call(broker.url, "POST", f"{topic}/retention%3Arun").status == 200
    assert call(broker.url, "DELETE", f"/v1/topics/{escaped}").status == 204


def test_every_route_decodes_its_names(http: httpx.Client) -> None:
    """A parameter of the framework's own kind would be the name with its escapes."""
    paths = http.get("/openapi.json").json()["paths"]
    calls = [(method, path) for path, methods in paths.items() for method in methods]
    assert len(calls) > 30
    for method, path in calls:
        if "{topic}" not in path and "{group}" not in path:
            continue
        target = path.replace("{partition}", "0").replace("{page}", "0")
        for word in ("topic", "group", "member", "topic_id"):
            target = target.replace(f"{{{word}}}", "%25%2F")
        query = {"before_offset": "0", "topic": "t"}
        said = http.request(method, target, params=query, json={}).text
        assert "%25" not in said, (method, path, said)
        assert "%2F" not in said, (method, path, said)


@pytest.mark.parametrize("path", ["/v1/groups/%", "/v1/groups/%ff", "/v1/topics/%zz/records", "/%"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_path_that_cannot_be_read(broker: BrokerProcess, method: str, path: str) -> None:
    answer = call(broker.url, method, path)
    assert (answer.status, answer.code) == (400, "invalid_path")
    assert answer.headers["x-request-id"]


async def test_no_member_stays_behind_after_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path / "data")
    await site.start()
    await site.topic("t")
    context = RestContext(site.broker, site.coordinator, load_config({}, {}, tmp_path))
    app = httpx.ASGITransport(build_app(context), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=app, base_url="http://tidelog") as http:

        async def join() -> httpx.Response:
            return await http.post("/v1/groups/g/members", json={"topics": ["t"]})

        with monkeypatch.context() as failing:
            failing.setattr(members, "encode_cursor", _fail)
            failed = await join()
        assert (failed.status_code, failed.json()["error"]["code"]) == (500, "internal_error")
        assert site.coordinator.describe("g").members == ()
        assert (await join()).status_code == 201
        assert len(site.coordinator.describe("g").members) == 1
    await site.stop()


def _fail(*_: object) -> str:
    raise ArithmeticError("the answer fails")
