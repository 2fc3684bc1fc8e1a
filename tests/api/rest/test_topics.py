"""Topics over HTTP: make, list, show, change, delete, and look up offsets."""

from __future__ import annotations

from typing import Any

import httpx
import pytest


def create(http: httpx.Client, name: str, **fields: Any) -> httpx.Response:
    return http.post("/v1/topics", json={"name": name, **fields})


def code(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["code"])


def setting(topic: Any, name: str) -> Any:
    return next(one for one in topic["settings"] if one["name"] == name)


def test_create(http: httpx.Client) -> None:
    made = create(http, "made", partitions=2, settings={"retention.ms": 5000})
    assert made.status_code == 201
    assert made.headers["location"] == "/v1/topics/made"
    shown = http.get(made.headers["location"]).json()
    assert shown == made.json()
    assert [one["partition"] for one in shown["partitions"]] == [0, 1]
    retention = setting(shown, "retention.ms")
    assert (retention["value"], retention["source"]) == ("5000", "topic")
    assert retention["default"] == "604800000"
    assert retention["documentation"]
    assert setting(shown, "segment.bytes")["source"] == "default"


def test_create_twice(http: httpx.Client) -> None:
    first = create(http, "twice", partitions=2).json()
    again = create(http, "twice")
    assert (again.status_code, code(again)) == (409, "topic_exists")
    allowed = create(http, "twice", partitions=5, if_not_exists=True)
    assert (allowed.status_code, allowed.json()["id"]) == (200, first["id"])
    assert len(allowed.json()["partitions"]) == 2


def test_only_checked(http: httpx.Client) -> None:
    assert create(http, "checked", validate_only=True).status_code == 200
    assert create(http, "chec ked", validate_only=True).status_code == 422
    assert http.get("/v1/topics/checked").status_code == 404


@pytest.mark.parametrize(
    ("fields", "expected", "said"),
    [
        ({"name": "a b"}, "invalid_topic_name", "a b"),
        ({"name": ""}, "invalid_topic_name", ""),
        ({"name": ".."}, "invalid_topic_name", ".."),
        ({"name": "x" * 250}, "invalid_topic_name", "249"),
        ({"name": "ok", "partitions": 0}, "invalid_request", "greater than or equal to 1"),
        ({"name": "ok", "partitions": 10_001}, "invalid_request", "10000"),
        ({"name": "ok", "partitions": "3"}, "invalid_request", "partitions"),
        ({"name": "ok", "settings": {"retention.ms": -2}}, "invalid_setting", "at least -1"),
        ({"name": "ok", "settings": {"retention.ms": "x"}}, "invalid_setting", "whole number"),
        ({"name": "ok", "settings": {"retention.m": 1}}, "invalid_setting", "retention.ms"),
        ({"name": "ok", "settings": {"cleanup.policy": "x"}}, "invalid_setting", "delete, compact"),
        ({"name": "ok", "partition": 1}, "invalid_request", "partition"),
        ({}, "invalid_request", "name"),
    ],
)
def test_what_cannot_be_created(
    http: httpx.Client, fields: dict[str, Any], expected: str, said: str
) -> None:
    answer = http.post("/v1/topics", json=fields)
    assert (answer.status_code, code(answer)) == (422, expected)
    assert said in answer.json()["error"]["message"]
    assert http.get("/v1/topics/ok").status_code == 404


def test_list_in_pages(http: httpx.Client) -> None:
    names = [f"listed-{n:02}" for n in range(7)]
    for name in reversed(names):
        create(http, name, partitions=1)
    http.post("/v1/topics/listed-03/records", json={"records": [{"value": 1}] * 4})
    query: dict[str, Any] = {"prefix": "listed-", "limit": 3}
    found: list[Any] = []
    while True:
        page = http.get("/v1/topics", params=query).json()
        assert len(page["topics"]) <= 3
        found += page["topics"]
        if page["next_page_token"] is None:
            break
        query["page_token"] = page["next_page_token"]
    assert [one["name"] for one in found] == names
    counted = found[3]
    assert counted["records"] == 4
    assert 0 < counted["rates"]["appended_records"] <= 4
    assert 0 < counted["rates"]["appended_bytes"] <= counted["bytes"]
    assert found[2]["rates"]["appended_records"] == 0
    assert http.get("/v1/topics", params={"page_token": "?"}).status_code == 422
    assert http.get("/v1/topics", params={"limit": 0}).status_code == 422


def test_internal_topics_only_when_asked_for(http: httpx.Client, single: str) -> None:
    offsets = {"offsets": [{"topic": single, "partition": 0, "offset": 0}]}
    http.put("/v1/groups/internal/offsets", json=offsets).raise_for_status()

    def names(**query: Any) -> set[str]:
        answer = http.get("/v1/topics", params=query).json()
        return {one["name"] for one in answer["topics"]}

    assert "__consumer_offsets" not in names()
    assert "__consumer_offsets" in names(include_internal=True)
    answer = http.delete("/v1/topics/__consumer_offsets")
    assert (answer.status_code, code(answer)) == (403, "internal_topic")


def test_change_settings_and_partitions(http: httpx.Client, single: str) -> None:
    path = f"/v1/topics/{single}"
    changed = http.patch(path, json={"settings": {"retention.ms": 60_000}, "partitions": 3}).json()
    assert setting(changed, "retention.ms")["value"] == "60000"
    assert len(changed["partitions"]) == 3
    reset = http.patch(path, json={"settings": {"retention.ms": None}}).json()
    assert setting(reset, "retention.ms")["source"] == "default"
    unknown = http.patch(path, json={"settings": {"retention.mss": None}})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (422, "invalid_setting")
    assert "did you mean retention.ms?" in unknown.json()["error"]["message"]
    fewer = http.patch(path, json={"settings": {"retention.ms": 1}, "partitions": 2})
    assert (fewer.status_code, code(fewer)) == (422, "invalid_partitions")
    bad = http.patch(path, json={"settings": {"segment.ms": 0}, "partitions": 9})
    assert (bad.status_code, code(bad)) == (422, "invalid_setting")
    unchanged = http.get(path).json()
    assert (unchanged["partitions"], unchanged["settings"]) == (
        reset["partitions"],
        reset["settings"],
    )
    only_checked = {"settings": {"retention.ms": 1}, "partitions": 5, "validate_only": True}
    assert http.patch(path, json=only_checked).json() == unchanged


def test_deleted_is_gone_and_a_new_one_is_another(http: httpx.Client, single: str) -> None:
    path = f"/v1/topics/{single}"
    before = http.get(path).json()["id"]
    http.post(f"{path}/records", json={"records": [{"value": n} for n in range(1000)]})
    page = f"{path}/{before}/partitions/0/pages/0"
    assert http.get(page).status_code == 200
    assert http.delete(path).status_code == 204
    assert http.delete(path).status_code == 404
    assert http.get(f"{path}/partitions/0/records").status_code == 404
    create(http, single, partitions=1)
    again = http.get(path).json()
    assert again["id"] != before
    assert again["partitions"][0]["end_offset"] == 0
    answer = http.get(page)
    assert (answer.status_code, code(answer)) == (404, "unknown_topic_id")


def test_offsets_by_time(http: httpx.Client, single: str) -> None:
    records = [{"value": n, "timestamp": 1_700_000_000_000 + n * 1000} for n in range(10)]
    http.post(f"/v1/topics/{single}/records", json={"records": records})

    def at(timestamp: str) -> Any:
        answer = http.get(f"/v1/topics/{single}/offsets", params={"timestamp": timestamp})
        [one] = answer.json()["offsets"]
        return one["offset"], one["timestamp"]

    assert at("earliest") == (0, None)
    assert at("latest") == (10, None)
    assert at("1700000003001") == (4, 1_700_000_004_000)
    assert at("2023-11-14T22:13:25Z") == (5, 1_700_000_005_000)
    assert at("2033-01-01T00:00:00Z") == (10, None)
    answer = http.get(f"/v1/topics/{single}/offsets", params={"timestamp": "noon"})
    assert (answer.status_code, code(answer)) == (422, "invalid_parameter")


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_an_unknown_topic(http: httpx.Client, method: str) -> None:
    body = {} if method == "PATCH" else None
    answer = http.request(method, "/v1/topics/nowhere", json=body)
    assert (answer.status_code, code(answer)) == (404, "unknown_topic")
    assert "POST /v1/topics" in answer.json()["error"]["message"]
