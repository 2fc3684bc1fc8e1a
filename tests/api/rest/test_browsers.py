"""What a browser must not do for a foreign page, and what it may when settings allow it."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from tests.support.broker_process import BrokerProcess

FOREIGN = "https://evil.example"


def code(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["code"])


@pytest.mark.parametrize("path", ["/v1/broker", "/v1/topics/{}/records", "/docs"])
def test_a_foreign_origin_is_refused(http: httpx.Client, single: str, path: str) -> None:
    answer = http.get(path.format(single), headers={"Origin": FOREIGN})
    assert (answer.status_code, code(answer)) == (403, "foreign_origin")
    assert "cors.origins" in answer.json()["error"]["message"]
    assert "access-control-allow-origin" not in answer.headers


def test_a_post_that_needs_no_preflight_writes_nothing(http: httpx.Client, single: str) -> None:
    headers = {"Origin": FOREIGN, "Content-Type": "text/plain"}
    path = f"/v1/topics/{single}/records"
    assert http.post(path, content=b"x", headers=headers).status_code == 403
    assert http.get(path).json()["records"] == []
    assert http.post(path, content=b"x", headers={**headers, "Origin": "null"}).status_code == 403


def test_our_own_pages_may_call(broker: BrokerProcess, http: httpx.Client) -> None:
    assert http.get("/v1/broker", headers={"Origin": broker.url}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example"])
def test_a_foreign_host_is_refused(http: httpx.Client, host: str) -> None:
    answer = http.get("/v1/broker", headers={"Host": host})
    assert (answer.status_code, code(answer)) == (403, "foreign_host")
    assert "allowed.hosts" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:1234", "LocalHost", "LOCALHOST:1234", "localhost:"),
        *("127.0.0.1", "127.0.0.1:", "[::1]", "[::1]:8082"),
    ],
)
def test_names_of_this_machine_are_ours(http: httpx.Client, host: str) -> None:
    assert http.get("/v1/broker", headers={"Host": host}).status_code == 200


def test_what_settings_allow(start_broker: Callable[..., BrokerProcess]) -> None:
    broker = start_broker(
        *("--set", "cors.origins=https://app.example", "--set", "allowed.hosts=log.Example")
    )
    origin = {"Origin": "https://app.example"}
    with broker.client() as http:
        assert http.get("/v1/broker", headers={"Host": "Log.example:80"}).status_code == 200
        assert http.get("/v1/broker", headers={"Origin": FOREIGN}).status_code == 403
        for path, status in (("/v1/broker", 200), ("/v1/topics/nowhere/records", 404)):
            answer = http.get(path, headers=origin)
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == "https://app.example"
            assert answer.headers["vary"] == "Origin"
        preflight = http.options(
            "/v1/topics", headers={**origin, "Access-Control-Request-Method": "POST"}
        )
        assert preflight.status_code == 204
        assert "POST" in preflight.headers["access-control-allow-methods"]
