"""Cache administration, health, facts about the broker, request ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.support.broker_process import BrokerProcess


def fill(http: httpx.Client, topic: str, count: int = 1000) -> None:
    body = {"records": [{"key": f"k{n}", "value": n} for n in range(count)]}
    http.post(f"/v1/topics/{topic}/records", json=body).raise_for_status()


def numbers(http: httpx.Client, topic: str) -> Any:
    return http.get("/v1/cache").json()["topics"].get(topic)


class TestCache:
    def test_warm_then_hit_then_drop(self, http: httpx.Client, single: str) -> None:
        fill(http, single)
        http.delete("/v1/cache", params={"tag": f"topic:{single}"})
        wanted = {"topic": single, "partition": 0, "from_offset": 0, "to_offset": 1000}
        warmed = http.post("/v1/cache:warm", json=wanted).json()
        assert warmed["next_offset"] == 1000
        before = numbers(http, single)
        assert before["bytes"] >= warmed["bytes"] > 0
        lines = http.get(
            f"/v1/topics/{single}/partitions/0/records", headers={"Accept": "application/x-ndjson"}
        )
        assert len(lines.text.splitlines()) == 1000
        after = numbers(http, single)
        assert after["hits"] > before["hits"]
        assert after["misses"] == before["misses"]
        [segment] = http.get(f"/v1/topics/{single}/segments").json()["segments"]
        assert segment["cached_bytes"] == segment["bytes"]
        dropped = http.delete("/v1/cache", params={"tag": f"partition:{single}-0"}).json()
        assert dropped["entries"] >= 1
        assert numbers(http, single)["bytes"] == 0

    def test_a_large_batch_is_warmed_at_once(self, http: httpx.Client, single: str) -> None:
        body = {"records": [{"value": "x" * 700_000}]}
        http.post(f"/v1/topics/{single}/records", json=body).raise_for_status()
        http.delete("/v1/cache", params={"tag": f"topic:{single}"})
        wanted = {"topic": single, "partition": 0, "from_offset": 0, "to_offset": 1}
        warmed = http.post("/v1/cache:warm", json=wanted).json()
        assert warmed["next_offset"] == 1
        assert numbers(http, single)["bytes"] >= warmed["bytes"] > 700_000

    def test_budget_and_time_to_live(self, start_broker: Callable[..., BrokerProcess]) -> None:
        broker = start_broker("--set", "cache.bytes=1000000")
        with broker.client() as http:
            assert http.get("/v1/cache").json()["budget_bytes"] == 1_000_000
            http.post("/v1/topics", json={"name": "t", "partitions": 1})
            fill(http, "t")
            warm = {"topic": "t", "from_offset": 0, "to_offset": 1000}
            http.post("/v1/cache:warm", json=warm).raise_for_status()
            assert http.get("/v1/cache").json()["used_bytes"] > 0
            changed = http.patch("/v1/cache", json={"budget_bytes": 0, "ttl_ms": 5000}).json()
            assert (changed["budget_bytes"], changed["used_bytes"]) == (0, 0)
            assert changed["ttl_ms"] == 5000
            assert http.patch("/v1/cache", json={"ttl_ms": 0}).json()["ttl_ms"] is None

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({"topic": "nowhere", "from_offset": 0, "to_offset": 1}, 404),
            ({"topic": "?", "partition": 9, "from_offset": 0, "to_offset": 1}, 404),
            ({"topic": "?", "from_offset": 5, "to_offset": 1}, 422),
            ({"topic": "?", "from_offset": -1, "to_offset": 1}, 422),
            ({"topic": "?"}, 422),
        ],
    )
    def test_what_cannot_be_warmed(
        self, http: httpx.Client, single: str, body: dict[str, Any], status: int
    ) -> None:
        topic = single if body["topic"] == "?" else body["topic"]
        assert http.post("/v1/cache:warm", json={**body, "topic": topic}).status_code == status

    def test_a_tag_that_is_none(self, http: httpx.Client) -> None:
        assert http.delete("/v1/cache", params={"tag": "everything"}).status_code == 422
        assert http.delete("/v1/cache").status_code == 422


def test_health(http: httpx.Client) -> None:
    for kind in ("live", "ready"):
        answer = http.get(f"/health/{kind}")
        assert (answer.status_code, answer.json()["status"]) == (200, "ok")
        assert answer.json()["problems"] == []


def test_facts_about_the_broker(broker: BrokerProcess, http: httpx.Client) -> None:
    facts = http.get("/v1/broker").json()
    assert (facts["http"], facts["kafka"]) == (broker.url, broker.kafka)
    assert facts["engine"] == "local"
    assert facts["uptime_ms"] > 0
    assert facts["limits"]["max_header_bytes"] == 65_536
    assert f"cluster.id={facts['cluster_id']}" in (broker.data_dir / "meta.properties").read_text()


def test_the_root_says_where_things_are(http: httpx.Client) -> None:
    index = http.get("/").json()
    assert (index["name"], index["kafka"]) == ("Tidelog", http.get("/v1/broker").json()["kafka"])
    links = [value for value in index.values() if str(value).startswith("/")]
    assert {"/docs", "/v1/topics", "/metrics"} <= set(links)
    assert [http.get(link).status_code for link in links] == [200] * len(links)


class TestRequestIds:
    def test_each_request_has_its_own(self, http: httpx.Client) -> None:
        ids = {
            http.get(path).headers["x-request-id"] for path in ("/v1/broker", "/x", "/v1/broker")
        }
        assert len(ids) == 3

    @pytest.mark.parametrize("path", ["/v1/broker", "/v1/topics/nowhere/records", "/x"])
    def test_the_callers_comes_back(self, http: httpx.Client, path: str) -> None:
        answer = http.get(path, headers={"X-Request-Id": "mine-1"})
        assert answer.headers.get_list("x-request-id") == ["mine-1"]

    def test_one_that_is_too_long_does_not(self, http: httpx.Client) -> None:
        answer = http.get("/v1/broker", headers={"X-Request-Id": "x" * 200})
        assert answer.headers["x-request-id"] != "x" * 200


def test_the_documentation_page(http: httpx.Client) -> None:
    page = http.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert '"openapi.json"' in page.text
    assert "//cdn" not in page.text


class TestSettings:
    """Of the broker; it is shared, so that each test puts back what it changes."""

    @staticmethod
    def shown(answer: httpx.Response) -> dict[str, Any]:
        return {one["name"]: one for one in answer.raise_for_status().json()["settings"]}

    def test_a_change_counts_at_once(self, http: httpx.Client, single: str) -> None:
        path = "/v1/broker/settings"
        before = self.shown(http.get(path))
        assert before["message.max.bytes"]["source"] == "default"
        facts = http.get("/v1/broker").json()
        assert before["node.id"]["value"] == str(facts["node_id"])
        assert before["listeners"]["value"].split(",") == facts["listeners"]
        assert (before["num.partitions"]["changeable"], before["log.level"]["changeable"]) == (
            False,
            True,
        )
        after = self.shown(http.patch(path, json={"settings": {"message.max.bytes": "10KiB"}}))
        assert after["message.max.bytes"] | {"documentation": ""} == {
            "name": "message.max.bytes",
            "value": "10240",
            "default": "1048588",
            "source": "dynamic",
            "changeable": True,
            "documentation": "",
        }
        body = {"records": [{"value": "x" * 20_000}]}
        assert http.post(f"/v1/topics/{single}/records", json=body).status_code == 413
        assert (
            self.shown(http.patch(path, json={"settings": {"message.max.bytes": None}})) == before
        )
        assert http.post(f"/v1/topics/{single}/records", json=body).status_code == 200

    def test_what_is_refused(self, http: httpx.Client) -> None:
        path = "/v1/broker/settings"
        before = self.shown(http.get(path))
        for settings, said in (
            ({"num.partitions": 3}, "num.partitions=3: it cannot be changed while the broker runs"),
            ({"log.roll.ms": 0}, "log.roll.ms=0: must be at least 1"),
            ({"log.rol.ms": 5}, "did you mean log.roll.ms?"),
            ({"log.roll.ms": 5, "log.retention.ms": "soon"}, "log.retention.ms"),
        ):
            answer = http.patch(path, json={"settings": settings})
            assert answer.status_code == 422
            assert answer.json()["error"]["code"] == "invalid_setting"
            assert said in answer.json()["error"]["message"]
        checked = http.patch(path, json={"settings": {"log.roll.ms": 5}, "validate_only": True})
        assert self.shown(checked) == self.shown(http.get(path)) == before

    def test_who_may_call_from_a_browser(self, http: httpx.Client) -> None:
        headers = {"Origin": "https://a.example"}
        assert http.get("/v1/broker", headers=headers).status_code == 403
        change = {"settings": {"cors.origins": "https://a.example"}}
        http.patch("/v1/broker/settings", json=change).raise_for_status()
        try:
            assert http.get("/v1/broker", headers=headers).is_success
        finally:
            change = {"settings": {"cors.origins": None}}
            http.patch("/v1/broker/settings", json=change).raise_for_status()
        assert http.get("/v1/broker", headers=headers).status_code == 403
