"""Groups over HTTP without being a member: commit, describe, lag, reset, delete, while loading."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.broker_process import BrokerProcess
from tests.support.http_member import HttpMember, committed
from tidelog.api.config import load_config
from tidelog.api.rest.context import RestContext
from tidelog.api.rest.door import RestDoor
from tidelog.broker.broker import Broker
from tidelog.consumer_groups.coordinator import Coordinator
from tidelog.consumer_groups.hosted.cursor import Cursor, encode_cursor

START_MS = 1_700_000_000_000
RECORDS = 100
OFFSET = {"topic": "t", "partition": 0, "offset": 1}
CURSOR = encode_cursor("g", "http-1", Cursor(2, "earliest", None, {}))


@pytest.fixture
def group() -> str:
    return f"group-{uuid.uuid4()}"


@pytest.fixture
def filled(http: httpx.Client, topic: str) -> str:
    """A hundred records a partition, a second apart, in one batch each."""
    for partition in range(3):
        records = [
            {"value": n, "partition": partition, "timestamp": START_MS + n * 1000}
            for n in range(RECORDS)
        ]
        http.post(f"/v1/topics/{topic}/records", json={"records": records}).raise_for_status()
    return topic


def commit(
    http: httpx.Client, group: str, topic: str, *offsets: int, **more: Any
) -> httpx.Response:
    """Commit these for partition 0 and those that follow."""
    body = [
        {"topic": topic, "partition": partition, "offset": offset, **more}
        for partition, offset in enumerate(offsets)
    ]
    return http.put(f"/v1/groups/{group}/offsets", json={"offsets": body})


def code(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["message"]
    return str(error["code"])


class TestCommit:
    def test_is_kept_as_given(self, http: httpx.Client, filled: str, group: str) -> None:
        answer = commit(http, group, filled, 7, metadata="seven")
        assert answer.status_code == 200
        [offset] = answer.json()["offsets"]
        assert (offset["topic"], offset["partition"]) == (filled, 0)
        assert (offset["offset"], offset["metadata"]) == (7, "seven")
        assert http.get(f"/v1/groups/{group}/offsets").json() == answer.json()

    def test_is_all_or_nothing(self, http: httpx.Client, filled: str, group: str) -> None:
        assert code(commit(http, group, filled, 1, 1, 1, 1), 404) == "unknown_partition"
        assert code(http.get(f"/v1/groups/{group}/offsets"), 404) == "unknown_group"

    @pytest.mark.parametrize(
        ("change", "status", "expected"),
        [
            ({"topic": "no-such-topic"}, 404, "unknown_topic"),
            ({"offset": -1}, 422, "invalid_request"),
            ({"offset": 2**63}, 422, "invalid_request"),
            ({"offset": "1"}, 422, "invalid_request"),
            ({"partition": -1}, 422, "invalid_request"),
            ({"metadata": "x" * 4097}, 422, "metadata_too_large"),
            ({"generation": 1}, 422, "invalid_request"),
        ],
    )
    def test_bad_input(
        self,
        http: httpx.Client,
        filled: str,
        group: str,
        change: dict[str, Any],
        status: int,
        expected: str,
    ) -> None:
        offset = {"topic": filled, "partition": 0, "offset": 1, **change}
        answer = http.put(f"/v1/groups/{group}/offsets", json={"offsets": [offset]})
        assert code(answer, status) == expected

    def test_is_refused_beside_members(self, http: httpx.Client, filled: str, group: str) -> None:
        HttpMember(http, group, filled)
        assert code(commit(http, group, filled, 5), 409) == "group_not_empty"
        assert committed(http, group) == {}

    def test_survives_a_crash(self, start_broker: Callable[..., BrokerProcess], group: str) -> None:
        broker = start_broker()
        with broker.client() as http:
            http.post("/v1/topics", json={"name": "t", "partitions": 1}).raise_for_status()
            commit(http, group, "t", 3).raise_for_status()
        broker.kill()
        broker.start()
        with broker.client() as http:
            assert _once_loaded(http, group) == {0: 3}


def _once_loaded(http: httpx.Client, group: str) -> dict[int, int]:
    """What is committed, as soon as the broker has read it back."""
    while http.get(f"/v1/groups/{group}").status_code == 503:
        pass
    return committed(http, group)


class TestDescribing:
    def test_the_list(self, http: httpx.Client, filled: str) -> None:
        prefix = f"list-{uuid.uuid4()}"
        for n in range(5):
            commit(http, f"{prefix}-{n}", filled, n)
        HttpMember(http, f"{prefix}-3", filled)
        shown: list[dict[str, Any]] = []
        token = None
        while token is not None or not shown:
            query = {"prefix": prefix, "limit": 2} | ({"page_token": token} if token else {})
            page = http.get("/v1/groups", params=query).json()
            assert len(page["groups"]) <= 2
            shown += page["groups"]
            token = page["next_page_token"]
        assert [one["group"] for one in shown] == [f"{prefix}-{n}" for n in range(5)]
        assert [one["members"] for one in shown] == [0, 0, 0, 1, 0]
        assert [one["state"] for one in shown][2:4] == ["Empty", "Stable"]

    def test_a_group_that_is_none(self, http: httpx.Client, group: str) -> None:
        assert code(http.get(f"/v1/groups/{group}"), 404) == "unknown_group"


class TestLag:
    def test_in_records_and_seconds(self, http: httpx.Client, filled: str, group: str) -> None:
        before = time.time()
        commit(http, group, filled, 0, 40, RECORDS)
        shown = http.get(f"/v1/groups/{group}").json()
        first, middle, level = shown["lag"]
        assert (first["committed_offset"], first["end_offset"], first["lag"]) == (0, 100, 100)
        assert (middle["lag"], level["lag"], shown["total_lag"]) == (60, 0, 160)
        assert level["lag_seconds"] == 0
        for line, record in ((first, 0), (middle, 40)):
            written = START_MS / 1000 + record
            assert before - written <= line["lag_seconds"] <= time.time() - written

    def test_who_owns_what(self, http: httpx.Client, filled: str, group: str) -> None:
        member = HttpMember(http, group, filled)
        lines = http.get(f"/v1/groups/{group}").json()["lag"]
        assert [line["member_id"] for line in lines] == [member.member_id] * 3
        assert [line["committed_offset"] for line in lines] == [None] * 3
        assert [line["lag"] for line in lines] == [RECORDS] * 3

    def test_of_what_was_empty_when_the_group_began(
        self, http: httpx.Client, topic: str, group: str
    ) -> None:
        member = HttpMember(http, group, topic)
        member.poll()
        member.poll()
        assert committed(http, group) == {0: 0, 1: 0, 2: 0}
        member.leave()
        record = {"value": "unread", "partition": 2}
        http.post(f"/v1/topics/{topic}/records", json={"records": [record]}).raise_for_status()
        shown = http.get(f"/v1/groups/{group}").json()
        assert [line["lag"] for line in shown["lag"]] == [0, 0, 1]
        assert shown["total_lag"] == 1

    def test_seconds_are_known_after_a_restart(
        self, start_broker: Callable[..., BrokerProcess], group: str
    ) -> None:
        broker = start_broker()
        with broker.client() as http:
            http.post("/v1/topics", json={"name": "t", "partitions": 1}).raise_for_status()
            record = {"value": 1, "timestamp": START_MS}
            http.post("/v1/topics/t/records", json={"records": [record]}).raise_for_status()
            commit(http, group, "t", 0).raise_for_status()
        broker.kill()
        broker.start()
        with broker.client() as http:
            _once_loaded(http, group)
            [line] = http.get(f"/v1/groups/{group}").json()["lag"]
            assert line["lag"] == 1
            assert line["lag_seconds"] == pytest.approx(time.time() - START_MS / 1000, abs=60)

    def test_as_metrics(self, http: httpx.Client, filled: str, group: str) -> None:
        commit(http, group, filled, 30, 100)
        HttpMember(http, group, filled)
        found = {
            (sample.name, sample.labels.get("partition")): sample.value
            for family in text_string_to_metric_families(http.get("/metrics").text)
            for sample in family.samples
            if sample.labels.get("group") == group
        }
        assert found["kafka_consumergroup_members", None] == 1
        assert found["kafka_consumergroup_lag_sum", None] == 70 + RECORDS
        assert found["kafka_consumergroup_lag", "0"] == 70
        assert found["kafka_consumergroup_lag", "1"] == 0
        assert found["kafka_consumergroup_lag", "2"] == RECORDS
        seconds = found["kafka_consumergroup_lag_seconds", "0"]
        assert seconds == pytest.approx(time.time() - START_MS / 1000 - 30, abs=60)


class TestReset:
    def reset(self, http: httpx.Client, group: str, **body: Any) -> httpx.Response:
        return http.post(f"/v1/groups/{group}/offsets:reset", json=body)

    @pytest.mark.parametrize(
        ("to", "value", "after"),
        [
            ("earliest", None, 0),
            ("latest", None, 100),
            ("offset", 12, 12),
            ("offset", 2**62, 100),
            ("timestamp", START_MS + 20_000, 20),
            ("timestamp", "2023-11-14T22:13:40Z", 20),
            ("timestamp", 2**53, 100),
            ("duration", 0, 100),
            ("duration", 2**50, 0),
            ("shift", -10, 40),
            ("shift", 10, 60),
            ("shift", -1000, 0),
        ],
    )
    def test_every_target(
        self, http: httpx.Client, filled: str, group: str, to: str, value: Any, after: int
    ) -> None:
        commit(http, group, filled, 50)
        change = {"topic": filled, "partition": 0, "before": 50, "after": after}
        body = {"to": to} if value is None else {"to": to, "value": value}
        dry = self.reset(http, group, **body, dry_run=True)
        assert dry.json() == {"dry_run": True, "changes": [change]}
        assert committed(http, group) == {0: 50}
        assert self.reset(http, group, **body).json() == {"dry_run": False, "changes": [change]}
        assert committed(http, group) == {0: after}

    def test_of_topics_and_partitions(self, http: httpx.Client, filled: str, group: str) -> None:
        commit(http, group, filled, 50)
        place = {"topic": filled, "partition": 2}
        self.reset(http, group, to="offset", value=7, partitions=[place]).raise_for_status()
        assert committed(http, group) == {0: 50, 2: 7}
        self.reset(http, group, to="earliest", topics=[filled]).raise_for_status()
        assert committed(http, group) == {0: 0, 1: 0, 2: 0}

    def test_is_refused_while_there_are_members(
        self, http: httpx.Client, filled: str, group: str
    ) -> None:
        commit(http, group, filled, 50)
        member = HttpMember(http, group, filled)
        assert code(self.reset(http, group, to="earliest"), 409) == "group_not_empty"
        assert committed(http, group) == {0: 50}
        self.reset(http, group, to="earliest", force=True).raise_for_status()
        assert committed(http, group) == {0: 0}
        member.leave()
        self.reset(http, group, to="latest").raise_for_status()
        assert committed(http, group) == {0: 100}

    @pytest.mark.parametrize(
        ("body", "status", "expected"),
        [
            ({}, 422, "invalid_request"),
            ({"to": "newest"}, 422, "invalid_request"),
            ({"to": "offset"}, 422, "invalid_reset"),
            ({"to": "offset", "value": "12"}, 422, "invalid_reset"),
            ({"to": "shift", "value": 2**63}, 422, "invalid_reset"),
            ({"to": "timestamp", "value": "yesterday"}, 422, "invalid_parameter"),
            ({"to": "earliest", "topics": ["no-such-topic"]}, 404, "unknown_topic"),
            ({"to": "earliest", "dry": True}, 422, "invalid_request"),
        ],
    )
    def test_bad_input(
        self,
        http: httpx.Client,
        filled: str,
        group: str,
        body: dict[str, Any],
        status: int,
        expected: str,
    ) -> None:
        commit(http, group, filled, 50)
        assert code(self.reset(http, group, **body), status) == expected
        assert committed(http, group) == {0: 50}

    def test_nothing_to_shift_from(self, http: httpx.Client, filled: str, group: str) -> None:
        commit(http, group, filled, 50)
        answer = self.reset(http, group, to="shift", value=1, topics=[filled])
        assert code(answer, 422) == "invalid_reset"

    def test_a_group_that_is_none(self, http: httpx.Client, group: str) -> None:
        assert code(self.reset(http, group, to="earliest"), 404) == "unknown_group"


class TestDelete:
    def test_a_group(self, http: httpx.Client, filled: str, group: str) -> None:
        commit(http, group, filled, 50)
        member = HttpMember(http, group, filled)
        assert code(http.delete(f"/v1/groups/{group}"), 409) == "group_not_empty"
        member.leave()
        assert http.delete(f"/v1/groups/{group}").status_code == 204
        assert code(http.get(f"/v1/groups/{group}"), 404) == "unknown_group"
        assert code(http.delete(f"/v1/groups/{group}"), 404) == "unknown_group"

    def test_offsets_of_a_topic(
        self, http: httpx.Client, filled: str, single: str, group: str
    ) -> None:
        commit(http, group, filled, 50)
        commit(http, group, single, 0)
        path = f"/v1/groups/{group}/offsets"
        member = HttpMember(http, group, filled)
        refused = http.delete(path, params={"topic": filled})
        assert code(refused, 409) == "group_subscribed"
        assert http.delete(path, params={"topic": single}).status_code == 204
        member.leave()
        offsets = http.get(path).json()["offsets"]
        assert [(one["topic"], one["offset"]) for one in offsets] == [(filled, 50)]

    def test_offsets_of_a_group_that_is_none(
        self, http: httpx.Client, filled: str, group: str
    ) -> None:
        answer = http.delete(f"/v1/groups/{group}/offsets", params={"topic": filled})
        assert code(answer, 404) == "unknown_group"


class TestLoading:
    """A broker whose coordinator has not begun to read its topic."""

    @pytest.fixture
    async def loading(self, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
        config = load_config({"data_dir": str(tmp_path / "data")}, {})
        broker = await Broker.open(config.data_dir, config.broker)
        await broker.create_topic("t", 1)
        context = RestContext(broker, Coordinator(broker), config)
        transport = httpx.ASGITransport(RestDoor(context))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            yield http
        await broker.close()

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("GET", "", None),
            ("GET", "/g", None),
            ("DELETE", "/g", None),
            ("GET", "/g/offsets", None),
            ("PUT", "/g/offsets", {"offsets": [OFFSET]}),
            ("DELETE", "/g/offsets?topic=t", None),
            ("POST", "/g/offsets:reset", {"to": "earliest"}),
            ("POST", "/g/members", {"topics": ["t"]}),
            ("DELETE", "/g/members/http-1", None),
            ("POST", "/g/members/http-1/commit", {"offsets": [OFFSET]}),
            ("POST", "/g/members/http-1/poll", {"cursor": CURSOR}),
        ],
    )
    async def test_says_to_come_again(
        self, loading: httpx.AsyncClient, method: str, path: str, body: Any
    ) -> None:
        answer = await loading.request(method, f"/v1/groups{path}", json=body)
        assert code(answer, 503) == "coordinator_loading"
        assert answer.headers["retry-after"] == "1"

    async def test_metrics_are_there_without_groups(self, loading: httpx.AsyncClient) -> None:
        answer = await loading.get("/metrics")
        assert answer.status_code == 200
        assert "kafka_log_log_logendoffset" in answer.text
