"""Retention over HTTP: what is there, what would go and why, run now, delete records before."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

DAY_MS = 86_400_000
SEGMENT_BYTES = 1024 * 1024


@pytest.fixture
def aged(http: httpx.Client, single: str) -> str:
    """A topic whose first segment is two days old and sealed, the second from now."""
    settings = {"segment.bytes": SEGMENT_BYTES, "retention.ms": -1, "file.delete.delay.ms": 0}
    http.patch(f"/v1/topics/{single}", json={"settings": settings}).raise_for_status()
    now_ms = int(time.time() * 1000)
    for timestamp in (now_ms - 2 * DAY_MS, now_ms):
        records = [{"value": "x" * 900, "timestamp": timestamp}] * 1000
        body = {"records": records}
        http.post(f"/v1/topics/{single}/records", json=body).raise_for_status()
    return single


def segments(http: httpx.Client, topic: str) -> list[dict[str, Any]]:
    return list(http.get(f"/v1/topics/{topic}/segments").json()["segments"])


def partition(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    [one] = answer.json()["partitions"]
    return one


def test_segments(http: httpx.Client, aged: str) -> None:
    old, new = segments(http, aged)
    assert (old["base_offset"], old["next_offset"], old["records"]) == (0, 1000, 1000)
    assert (old["sealed"], new["sealed"]) == (True, False)
    assert new["first_timestamp"] - old["last_timestamp"] == 2 * DAY_MS
    assert 900_000 < old["bytes"] <= SEGMENT_BYTES


def test_what_would_go_and_then_goes(http: httpx.Client, aged: str) -> None:
    path = f"/v1/topics/{aged}"
    kept = partition(http.get(f"{path}/retention"))
    assert kept["expired"] == []
    assert (kept["next"]["at_ms"], kept["next"]["after_bytes"]) == (None, None)
    http.patch(path, json={"settings": {"retention.ms": DAY_MS}})
    preview = partition(http.get(f"{path}/retention"))
    [gone] = preview["expired"]
    assert (gone["base_offset"], gone["next_offset"], gone["reason"]) == (0, 1000, "time")
    dry = http.post(f"{path}/retention:run", json={"dry_run": True})
    assert dry.json()["dry_run"] is True
    assert partition(dry)["expired"] == preview["expired"]
    assert len(segments(http, aged)) == 2
    run = http.post(f"{path}/retention:run")
    assert partition(run)["expired"] == preview["expired"]
    assert [one["base_offset"] for one in segments(http, aged)] == [1000]
    assert http.get(path).json()["partitions"][0]["start_offset"] == 1000
    assert http.get(f"{path}/partitions/0/records?offset=0").status_code == 416


def test_by_size_and_held_by_a_group(http: httpx.Client, aged: str) -> None:
    path = f"/v1/topics/{aged}"
    settings = {"retention.bytes": 500_000, "retention.wait.for.groups": "slow"}
    http.patch(path, json={"settings": settings}).raise_for_status()
    offsets = {"offsets": [{"topic": aged, "partition": 0, "offset": 10}]}
    http.put("/v1/groups/slow/offsets", json=offsets).raise_for_status()
    held = partition(http.post(f"{path}/retention:run"))
    assert (held["expired"], held["held_by"]) == ([], ["slow"])
    assert [one["base_offset"] for one in held["held"]] == [0]
    offsets["offsets"][0]["offset"] = 1000
    http.put("/v1/groups/slow/offsets", json=offsets).raise_for_status()
    freed = partition(http.post(f"{path}/retention:run"))
    assert [(one["base_offset"], one["reason"]) for one in freed["expired"]] == [(0, "size")]


def test_delete_records_before(http: httpx.Client, aged: str) -> None:
    path = f"/v1/topics/{aged}/partitions/0/records"
    answer = http.delete(path, params={"before_offset": 300})
    assert answer.json() == {"partition": 0, "start_offset": 300}
    assert http.get(path).json()["records"][0]["offset"] == 300
    beyond = http.delete(path, params={"before_offset": 2001})
    assert (beyond.status_code, beyond.json()["error"]["details"]["end_offset"]) == (416, 2000)
    everything = http.delete(path, params={"before_offset": -1})
    assert everything.json()["start_offset"] == 2000
    assert http.get(path).json()["records"] == []
    assert http.delete(path).status_code == 422
    assert http.delete(path, params={"before_offset": -2}).status_code == 422
