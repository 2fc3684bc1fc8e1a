"""What a proxy may say of a request, and whom to believe."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from tests.support.broker_process import BrokerProcess
from tidelog.api.http.proxies import Proxies, below

LOOPBACK = ("127.0.0.0/8", "::1")
FORWARDED = {"Origin": "https://log.example:8443", "X-Forwarded-Host": "log.example:8443"}


@pytest.mark.parametrize(
    ("trusted", "client", "believed"),
    [
        (LOOPBACK, "127.0.0.1", True),
        (LOOPBACK, "127.9.9.9", True),
        (LOOPBACK, "::1", True),
        (LOOPBACK, "::ffff:127.0.0.1", True),
        (LOOPBACK, "10.0.0.1", False),
        (LOOPBACK, "::ffff:10.0.0.1", False),
        (LOOPBACK, "fe80::1%eth0", False),
        (("10.0.0.0/8", "fe80::/10"), "10.1.2.3", True),
        (("10.0.0.0/8", "fe80::/10"), "fe80::1%eth0", True),
        (("10.0.0.1/8",), "10.1.2.3", True),
        (("10.0.0.1",), "10.0.0.1", True),
        (("10.0.0.1",), "10.0.0.2", False),
        ((), "127.0.0.1", False),
    ],
)
def test_who_is_believed(trusted: tuple[str, ...], client: str, believed: bool) -> None:
    proxies, scope = Proxies(trusted), {"client": (client, 1)}
    headers = {b"x-forwarded-host": b"log.example"}
    assert proxies.host(scope, headers) == (b"log.example" if believed else None)
    assert proxies.prefix(scope, b"/tidelog") == (b"/tidelog" if believed else b"")
    assert proxies.host({"client": None}, headers) is None


@pytest.mark.parametrize(
    ("given", "prefix"),
    [
        (b"/tidelog", b"/tidelog"),
        (b"/tidelog/", b"/tidelog"),
        (b" /a/b~c/%20 ", b"/a/b~c/%20"),
        *((none, b"") for none in (b"", b"/", b"tidelog", b"//evil.example", b"/a//b")),
        *((none, b"") for none in (b"https://evil.example", b"/a b", b"/a>", b'/"', b"/\xff")),
        (b"/a, /b", b""),
    ],
)
def test_what_is_a_prefix(given: bytes, prefix: bytes) -> None:
    assert Proxies(LOOPBACK).prefix({"client": ("127.0.0.1", 1)}, given) == prefix


def test_the_first_proxy_knows_the_host() -> None:
    headers = {b"x-forwarded-host": b"log.example, inner.example"}
    assert Proxies(LOOPBACK).host({"client": ("::1", 1)}, headers) == b"log.example"


def test_links_are_moved() -> None:
    link = b'</v1/a>; rel="canonical", </v1/b?offset=1>; rel="next"'
    headers = [(b"location", b"/v1/x"), (b"link", link), (b"etag", b'"</v1>"')]
    assert below(b"/p", headers) == [
        (b"location", b"/p/v1/x"),
        (b"link", b'</p/v1/a>; rel="canonical", </p/v1/b?offset=1>; rel="next"'),
        (b"etag", b'"</v1>"'),
    ]


class TestBroker:
    """On loopback, where the tests are a proxy."""

    def test_the_forwarded_host_is_ours(self, http: httpx.Client) -> None:
        assert http.get("/v1/broker", headers=FORWARDED).status_code == 200
        other = {**FORWARDED, "X-Forwarded-Host": "log.example"}
        assert http.get("/v1/broker", headers=other).status_code == 403

    def test_it_is_no_host_that_the_broker_was_called_by(self, http: httpx.Client) -> None:
        """A page that was rebound to this machine can say what it likes, but not as Host."""
        forwarded = {"X-Forwarded-Host": "localhost", "Sec-Fetch-Site": "same-origin"}
        rebound = {"Host": "evil.example", "Origin": "http://evil.example", **forwarded}
        answer = http.get("/v1/broker", headers=rebound)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "foreign_host")

    @pytest.mark.parametrize(
        ("site", "status"), [("same-origin", 200), ("same-site", 403), ("cross-site", 403)]
    )
    def test_what_the_browser_says(self, http: httpx.Client, site: str, status: int) -> None:
        headers = {"Origin": "https://log.example", "Sec-Fetch-Site": site}
        assert http.get("/v1/broker", headers=headers).status_code == status

    def test_nobody_is_believed(self, start_broker: Callable[..., BrokerProcess]) -> None:
        broker = start_broker("--set", "trusted.proxies=")
        with broker.client() as http:
            assert http.get("/v1/broker", headers=FORWARDED).status_code == 403
            prefixed = {"X-Forwarded-Prefix": "/p"}
            made = http.post("/v1/topics", json={"name": "t"}, headers=prefixed)
            assert made.headers["location"] == "/v1/topics/t"
            assert "vary" not in made.headers

    @pytest.mark.parametrize("path", ["/v1/topics", "/p/v1/topics", "/p", "/p/", "/", "/p/docs"])
    def test_a_prefix_is_there_or_removed(self, http: httpx.Client, path: str) -> None:
        assert http.get(path, headers={"X-Forwarded-Prefix": "/p/"}).status_code == 200
        assert http.get(path).status_code == (404 if path.startswith("/p") else 200)

    def test_a_prefix_as_one_of_our_paths(self, http: httpx.Client) -> None:
        answer = http.get("/v1/v1/topics", headers={"X-Forwarded-Prefix": "/v1"})
        assert answer.status_code == 200

    def test_answers_to_pages_of_others_vary(
        self, start_broker: Callable[..., BrokerProcess]
    ) -> None:
        """A cache must not give one the answer that another, or no page, was given."""
        broker = start_broker("--set", "cors.origins=https://app.example")
        with broker.client() as http:
            for origin in ({}, {"Origin": "https://app.example"}, {"Origin": broker.url}):
                answer = http.get("/v1/broker", headers=origin)
                assert (answer.status_code, answer.headers["vary"]) == (200, "Origin")
            both = http.get("/v1/broker", headers={"X-Forwarded-Prefix": "/p"})
            assert both.headers.get_list("vary") == ["Origin, X-Forwarded-Prefix"]
