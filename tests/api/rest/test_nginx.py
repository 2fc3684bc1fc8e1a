"""Behind a real nginx: as it comes, and as docs/proxies.md says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urljoin

import httpx
import pytest

from tests.support.broker_process import BrokerProcess
from tests.support.nginx import Nginx, nginx

PAGE = (Path(__file__).parents[3] / "docs" / "proxies.md").read_text()
_AS_IT_COMES = """
location / {{ proxy_pass {url}; }}
location /stripped/ {{
    proxy_pass {url}/;
    proxy_set_header X-Forwarded-Prefix /stripped;
}}
location /cached/ {{
    proxy_pass {url}/;
    proxy_cache pages;
    proxy_set_header X-Forwarded-Prefix /cached;
    add_header X-Cache $upstream_cache_status;
}}
location /open/ {{
    proxy_pass {url}/;
    proxy_cache pages;
    add_header X-Cache $upstream_cache_status;
}}
"""
PREFIXES = ["/stripped", "/tidelog"]
SAME_ORIGIN = {"Origin": Nginx.url, "Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def front(broker: BrokerProcess) -> Iterator[Nginx]:
    """With the page's location beside plain ones."""
    block = re.search(r"^```nginx\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert block is not None
    recommended = block[1].replace("http://127.0.0.1:8082", broker.url)
    assert recommended != block[1]
    with nginx(_AS_IT_COMES.format(url=broker.url) + recommended) as running:
        yield running
        assert "[error]" not in running.errors


@pytest.fixture
def web(front: Nginx) -> Iterator[httpx.Client]:
    with front.client() as client:
        yield client


def produce(
    http: httpx.Client, topic: str, *values: object, prefix: str = "", **headers: str
) -> int:
    records = [{"value": value} for value in values]
    path = f"{prefix}/v1/topics/{topic}/records"
    return http.post(path, json={"records": records}, headers=headers).status_code


class TestOrigins:
    def test_a_browser_says_that_the_page_is_ours(self, web: httpx.Client, single: str) -> None:
        """nginx sends another Host, and says nothing else unless it is told to."""
        assert produce(web, single, 1, **SAME_ORIGIN) == 200

    def test_an_older_browser_needs_the_forwarded_host(
        self, web: httpx.Client, single: str
    ) -> None:
        assert produce(web, single, 1, Origin=Nginx.url) == 403
        assert produce(web, single, 1, prefix="/tidelog", Origin=Nginx.url) == 200

    @pytest.mark.parametrize("prefix", ["", *PREFIXES])
    @pytest.mark.parametrize("site", ["cross-site", "same-site", None])
    def test_a_foreign_page_is_refused(
        self, web: httpx.Client, single: str, prefix: str, site: str | None
    ) -> None:
        headers = {"Origin": "https://evil.example", "Content-Type": "text/plain"}
        if site is not None:
            headers["Sec-Fetch-Site"] = site
        answer = web.post(f"{prefix}/v1/topics/{single}/records", content=b"x", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "foreign_origin")


@pytest.mark.parametrize("prefix", PREFIXES)
class TestPrefixes:
    def test_locations(self, web: httpx.Client, single: str, prefix: str) -> None:
        made = web.post(f"{prefix}/v1/topics", json={"name": f"{single}-{prefix[1:]}"})
        assert made.headers["location"] == f"{prefix}/v1/topics/{single}-{prefix[1:]}"
        assert web.get(made.headers["location"]).status_code == 200
        joined = web.post(f"{prefix}/v1/groups/g-{single}/members", json={"topics": [single]})
        assert joined.headers["location"].startswith(f"{prefix}/v1/groups/g-{single}/members/")
        assert web.delete(joined.headers["location"]).status_code == 204

    def test_links(self, web: httpx.Client, single: str, prefix: str) -> None:
        assert produce(web, single, *range(1000)) == 200
        fetched = web.get(f"{prefix}/v1/topics/{single}/partitions/0/records")
        for relation, count in (("next", 500), ("canonical", 1000)):
            target = fetched.links[relation]["url"]
            assert target.startswith(f"{prefix}/v1/topics/{single}/")
            assert len(web.get(target).json()["records"]) == count

    def test_the_description(self, web: httpx.Client, prefix: str) -> None:
        page = web.get(f"{prefix}/docs")
        source = re.search(r'fetch\("(.*?)"\)', page.text)
        assert source is not None
        described = web.get(urljoin(str(page.url), source[1])).json()
        [server] = described["servers"]
        assert server["url"] == prefix
        assert web.get(server["url"] + "/v1/topics").status_code == 200
        index = web.get(f"{prefix}/").json()
        assert web.get(index["documentation"]).text == page.text
        assert web.get(index["health"]).status_code == 200

    def test_errors(self, web: httpx.Client, prefix: str) -> None:
        wrong = web.put(f"{prefix}/v1/topics")
        assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD, POST")
        assert web.get(f"{prefix}/v1/nothing").json()["error"]["code"] == "not_found"

    def test_head(self, web: httpx.Client, single: str, prefix: str) -> None:
        for path in ("/health/ready", f"/v1/topics/{single}/partitions/0/records"):
            got, head = (web.request(method, prefix + path) for method in ("GET", "HEAD"))
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-length"] == str(len(got.content))

    @pytest.mark.parametrize("path", ["/records", "/partitions/0/records"])
    def test_events_come_one_by_one(
        self, web: httpx.Client, http: httpx.Client, single: str, prefix: str, path: str
    ) -> None:
        events = {"Accept": "text/event-stream"}
        with web.stream("GET", f"{prefix}/v1/topics/{single}{path}", headers=events) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = answer.iter_lines()
            for value in range(3):
                assert produce(http, single, value) == 200
                event = [next(lines) for _ in range(3)]
                assert f'"value":{value}' in event[1]

    def test_lines_of_any_number(
        self, web: httpx.Client, http: httpx.Client, single: str, prefix: str
    ) -> None:
        assert produce(http, single, *range(5000)) == 200
        lines = {"Accept": "application/x-ndjson"}
        answer = web.get(f"{prefix}/v1/topics/{single}/records", headers=lines)
        assert len(answer.text.splitlines()) == 5000

    def test_a_poll_that_waits_in_vain(self, web: httpx.Client, single: str, prefix: str) -> None:
        path = f"{prefix}/v1/topics/{single}/partitions/0/records"
        answer = web.get(path, params={"wait_ms": 200})
        assert (answer.status_code, answer.json()["records"]) == (200, [])
        assert answer.elapsed.total_seconds() >= 0.2


@pytest.mark.parametrize("name", ["team/app", "日本", "100%", "a b?c#d", "%2F", "../x/./y//"])
def test_names_arrive_as_they_were_sent(web: httpx.Client, single: str, name: str) -> None:
    path = f"/tidelog/v1/groups/{quote(f'{single} {name}', safe='')}"
    joined = web.post(f"{path}/members", json={"topics": [single]})
    assert joined.headers["location"].startswith(f"{path}/members/")
    assert web.get(path).json()["group"] == f"{single} {name}"
    assert web.delete(joined.headers["location"]).status_code == 204


def test_a_body_without_end_is_passed_on(
    web: httpx.Client, http: httpx.Client, single: str
) -> None:
    """The lines that were sent are written while the body goes on."""
    path = f"/v1/topics/{single}/partitions/0/records"
    seen: list[object] = []

    def body() -> Iterator[bytes]:
        for value in range(3):
            yield b'{"value":%d}\n' % value
            waiting = {"offset": value, "wait_ms": 60_000}
            seen.extend(one["value"] for one in http.get(path, params=waiting).json()["records"])

    lines = {"Content-Type": "application/x-ndjson"}
    answer = web.post(f"/tidelog/v1/topics/{single}/records", content=body(), headers=lines)
    assert len(answer.text.splitlines()) == 3
    assert seen == [0, 1, 2]


class TestCaches:
    @pytest.fixture
    def page(self, http: httpx.Client, single: str) -> str:
        assert produce(http, single, *range(1001)) == 200
        topic_id = http.get(f"/v1/topics/{single}").json()["id"]
        return f"/v1/topics/{single}/{topic_id}/partitions/0/pages/0"

    def test_pages_are_kept(self, web: httpx.Client, page: str) -> None:
        first, second, head = (web.request(m, f"/cached{page}") for m in ("GET", "GET", "HEAD"))
        assert [one.headers["x-cache"] for one in (first, second, head)] == ["MISS", "HIT", "HIT"]
        assert len(first.json()["records"]) == 1000
        assert second.content == first.content
        assert head.content == b""
        assert {one.headers["etag"] for one in (first, second, head)} == {first.headers["etag"]}
        known = {"If-None-Match": first.headers["etag"]}
        again = web.get(f"/cached{page}", headers=known)
        assert (again.status_code, again.headers["x-cache"]) == (304, "HIT")

    def test_each_kind_by_itself(self, web: httpx.Client, page: str) -> None:
        for kind in ("application/json", "application/x-ndjson", "application/octet-stream"):
            for told in ("MISS", "HIT"):
                answer = web.get(f"/cached{page}", headers={"Accept": kind})
                assert answer.headers["content-type"] == kind
                assert answer.headers["x-cache"] == told

    def test_what_changes_is_not_kept(self, web: httpx.Client, single: str) -> None:
        for path in ("/health/ready", f"/v1/topics/{single}/partitions/0/records"):
            for _ in range(2):
                assert web.get(f"/cached{path}").headers["x-cache"] == "MISS"

    def test_nobody_changes_what_others_are_told(self, web: httpx.Client, page: str) -> None:
        """nginx passes on what a client says of a prefix, where it says nothing itself."""
        assert web.get(f"/open{page}", headers={"X-Forwarded-Prefix": "/evil"}).is_success
        answer = web.get(f"/open{page}")
        assert "/evil" not in answer.headers["link"]
