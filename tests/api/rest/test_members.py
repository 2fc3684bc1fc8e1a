"""Groups over HTTP: members that join, poll, commit and leave, alone and among each other."""

from __future__ import annotations

import json
import socket
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.broker_process import BrokerProcess
from tests.support.http_member import HttpMember, committed, places


@pytest.fixture
def group() -> str:
    return f"group-{uuid.uuid4()}"


def fill(http: httpx.Client, topic: str, count: int, partitions: int = 3) -> None:
    """Record n goes to partition n modulo their number and holds n."""
    records = [{"value": n, "partition": n % partitions} for n in range(count)]
    http.post(f"/v1/topics/{topic}/records", json={"records": records}).raise_for_status()


def values(records: list[dict[str, Any]]) -> set[Any]:
    return {record["value"] for record in records}


def code(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["message"]
    return str(error["code"])


@contextmanager
def begun_poll(broker: BrokerProcess, member: HttpMember) -> Iterator[socket.socket]:
    """A poll of a minute that the broker has begun with; ends with its connection."""
    body = json.dumps({"cursor": member.cursor, "wait_ms": 60_000}).encode()
    address = urlsplit(broker.url)
    head = (
        f"POST {member.path}/poll HTTP/1.1",
        f"Host: {address.netloc}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Expect: 100-continue",
    )
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall("\r\n".join((*head, "", "")).encode())
        with connection.makefile("rb") as answer:
            assert answer.readline().startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        yield connection


class TestOneMember:
    def test_joins_and_gets_everything(self, http: httpx.Client, topic: str, group: str) -> None:
        fill(http, topic, 30)
        member = HttpMember(http, group, topic)
        assert member.partitions == {0, 1, 2}
        assert not member.joined["rebalancing"]
        records = member.poll()
        assert values(records) == set(range(30))
        assert {record["topic"] for record in records} == {topic}
        assert member.last["revoked"] == []
        assert member.poll() == []

    def test_is_shown_as_a_member(self, http: httpx.Client, topic: str, group: str) -> None:
        member = HttpMember(http, group, topic)
        shown = http.get(f"/v1/groups/{group}").json()
        assert shown["state"] == "Stable"
        assert shown["generation"] == member.joined["generation"]
        [only] = shown["members"]
        assert (only["member_id"], only["client_id"]) == (member.member_id, "http")
        assert only["topics"] == [topic]
        assert [one["partition"] for one in only["partitions"]] == [0, 1, 2]

    def test_bounds_hold_and_every_partition_has_its_turn(
        self, http: httpx.Client, topic: str, group: str
    ) -> None:
        fill(http, topic, 30)
        member = HttpMember(http, group, topic)
        pages = [member.poll(max_records=5) for _ in range(6)]
        assert [len(page) for page in pages] == [5] * 6
        assert {page[0]["partition"] for page in pages[:3]} == {0, 1, 2}
        assert places([one for page in pages for one in page]) == [
            (p, n) for p in range(3) for n in range(10)
        ]

    def test_one_record_always_fits(self, http: httpx.Client, single: str, group: str) -> None:
        records = [{"value_text": "x" * 5000} for _ in range(3)]
        http.post(f"/v1/topics/{single}/records", json={"records": records}).raise_for_status()
        member = HttpMember(http, group, single)
        assert [len(member.poll(max_bytes=1)) for _ in range(4)] == [1, 1, 1, 0]

    def test_values_are_shown_as_asked(self, http: httpx.Client, single: str, group: str) -> None:
        fill(http, single, 1, 1)
        member = HttpMember(http, group, single)
        answer = member.post("poll", cursor=member.cursor, value="base64").json()
        assert answer["records"][0]["value_base64"] == "MA=="

    def test_two_topics(self, http: httpx.Client, topic: str, single: str, group: str) -> None:
        fill(http, topic, 6)
        fill(http, single, 2, 1)
        member = HttpMember(http, group, topic, single)
        records = member.poll()
        assert len(records) == 8
        assert {record["topic"] for record in records} == {topic, single}

    def test_partitions_that_are_added_are_read(
        self, http: httpx.Client, single: str, group: str
    ) -> None:
        member = HttpMember(http, group, single)
        http.patch(f"/v1/topics/{single}", json={"partitions": 2}).raise_for_status()
        record = {"value": 1, "partition": 1}
        http.post(f"/v1/topics/{single}/records", json={"records": [record]}).raise_for_status()
        assert places(member.poll_until({0, 1})) == [(1, 0)]

    def test_a_topic_deleted_under_a_member_goes_away(
        self, http: httpx.Client, topic: str, single: str, group: str
    ) -> None:
        member = HttpMember(http, group, topic, single)
        member.poll()
        http.delete(f"/v1/topics/{topic}").raise_for_status()
        fill(http, single, 1, 1)
        assert values(member.poll_until({0})) == {0}


class TestCommitting:
    def test_nothing_is_committed_until_the_cursor_comes_back(
        self, http: httpx.Client, topic: str, group: str
    ) -> None:
        fill(http, topic, 30)
        member = HttpMember(http, group, topic)
        member.poll()
        assert committed(http, group) == {}
        member.poll()
        assert committed(http, group) == {0: 10, 1: 10, 2: 10}

    def test_the_same_cursor_gets_the_same_records(
        self, http: httpx.Client, topic: str, group: str
    ) -> None:
        fill(http, topic, 30)
        member = HttpMember(http, group, topic)
        first = member.cursor
        records = member.poll()
        second = member.cursor
        fill(http, topic, 3)
        again = member.post("poll", cursor=first).json()
        assert again["records"] == records
        assert again["cursor"] == second
        assert values(member.poll()) == {0, 1, 2}

    def test_an_old_cursor_takes_no_commit_back(
        self, http: httpx.Client, topic: str, group: str
    ) -> None:
        fill(http, topic, 30)
        member = HttpMember(http, group, topic)
        member.poll(max_records=15)
        old = member.cursor
        member.poll(max_records=15)
        member.poll()
        assert committed(http, group) == {0: 10, 1: 10, 2: 10}
        assert len(member.post("poll", cursor=old).json()["records"]) == 15
        member.post("commit", cursor=old).raise_for_status()
        assert committed(http, group) == {0: 10, 1: 10, 2: 10}

    def test_without_commit_a_poll_commits_nothing(
        self, http: httpx.Client, topic: str, group: str
    ) -> None:
        fill(http, topic, 30)
        member = HttpMember(http, group, topic)
        member.poll(commit=False)
        member.poll(commit=False)
        assert committed(http, group) == {}
        answer = member.post("commit", cursor=member.cursor)
        assert answer.status_code == 200
        assert committed(http, group) == {0: 10, 1: 10, 2: 10}

    def test_explicit_offsets_go_where_they_say(
        self, http: httpx.Client, topic: str, group: str
    ) -> None:
        fill(http, topic, 30)
        member = HttpMember(http, group, topic)
        member.poll()
        member.poll()
        offset = {"topic": topic, "partition": 1, "offset": 4, "metadata": "back"}
        answer = member.post("commit", offsets=[offset])
        assert answer.status_code == 200
        shown = {one["partition"]: one for one in answer.json()["offsets"]}
        assert (shown[1]["offset"], shown[1]["metadata"]) == (4, "back")
        assert shown[0]["offset"] == 10

    def test_who_comes_next_goes_on_there(self, http: httpx.Client, topic: str, group: str) -> None:
        fill(http, topic, 30)
        first = HttpMember(http, group, topic)
        read = first.poll(max_records=12)
        first.post("commit", cursor=first.cursor).raise_for_status()
        first.leave()
        second = HttpMember(http, group, topic)
        rest = second.poll()
        assert len(read) == 12
        assert places(read + rest) == [(p, n) for p in range(3) for n in range(10)]

    def test_what_was_not_committed_comes_again(
        self, http: httpx.Client, topic: str, group: str
    ) -> None:
        fill(http, topic, 30)
        first = HttpMember(http, group, topic)
        read = first.poll()
        first.leave()
        assert places(HttpMember(http, group, topic).poll()) == places(read)


class TestBeginning:
    def test_latest_reads_only_what_comes(self, http: httpx.Client, topic: str, group: str) -> None:
        fill(http, topic, 30)
        member = HttpMember(http, group, topic, auto_offset_reset="latest")
        fill(http, topic, 3)
        assert places(member.poll()) == [(0, 10), (1, 10), (2, 10)]

    def test_latest_stays_where_it_was_when_the_member_is_lost(
        self, http: httpx.Client, topic: str, group: str
    ) -> None:
        fill(http, topic, 30)
        HttpMember(http, group, topic, auto_offset_reset="latest").leave()
        fill(http, topic, 3)
        member = HttpMember(http, group, topic, auto_offset_reset="latest")
        assert places(member.poll()) == [(0, 10), (1, 10), (2, 10)]

    @pytest.mark.parametrize(("reset", "first"), [("earliest", 20), ("latest", None)])
    def test_what_retention_took_is_passed_over(
        self, http: httpx.Client, single: str, group: str, reset: str, first: int | None
    ) -> None:
        fill(http, single, 30, 1)
        offset = {"topic": single, "partition": 0, "offset": 5}
        http.put(f"/v1/groups/{group}/offsets", json={"offsets": [offset]}).raise_for_status()
        path = f"/v1/topics/{single}/partitions/0/records"
        http.delete(path, params={"before_offset": 20}).raise_for_status()
        records = HttpMember(http, group, single, auto_offset_reset=reset).poll()
        assert (records[0]["offset"] if records else None) == first


class TestWaiting:
    def test_an_append_ends_the_wait(
        self, http: httpx.Client, broker: BrokerProcess, topic: str, group: str
    ) -> None:
        member = HttpMember(http, group, topic)
        with ThreadPoolExecutor() as pool, broker.client() as other:
            waiting = pool.submit(member.poll, wait_ms=60_000)
            fill(other, topic, 1)
            assert values(waiting.result(30)) == {0}

    def test_nothing_at_the_time_out(self, http: httpx.Client, topic: str, group: str) -> None:
        member = HttpMember(http, group, topic)
        assert member.poll(wait_ms=50) == []
        assert member.partitions == {0, 1, 2}

    def test_a_leaving_member_ends_the_wait_of_who_gets_its_partitions(
        self, http: httpx.Client, broker: BrokerProcess, topic: str, group: str
    ) -> None:
        fill(http, topic, 30)
        first = HttpMember(http, group, topic)
        with broker.client() as other:
            second = HttpMember(other, group, topic)
            with ThreadPoolExecutor() as pool:
                waiting = pool.submit(second.poll, wait_ms=60_000)
                first.leave()
                records = waiting.result(30)
            assert records
            assert second.partitions == {0, 1, 2}

    def test_a_member_that_leaves_ends_its_own_wait(
        self, http: httpx.Client, broker: BrokerProcess, topic: str, group: str
    ) -> None:
        member = HttpMember(http, group, topic)
        with broker.client() as other, ThreadPoolExecutor() as pool:
            path = f"{member.path}/poll"
            body = {"cursor": member.cursor, "wait_ms": 60_000}
            waiting = pool.submit(other.post, path, json=body)
            member.leave()
            assert code(waiting.result(30), 404) == "unknown_member"

    def test_a_stopping_broker_ends_the_wait(
        self, start_broker: Callable[..., BrokerProcess], group: str
    ) -> None:
        broker = start_broker()
        with broker.client() as http:
            http.post("/v1/topics", json={"name": "t", "partitions": 1}).raise_for_status()
            member = HttpMember(http, group, "t")
        with begun_poll(broker, member) as connection:
            broker.stop()
            assert b"HTTP/1.1 200" in connection.makefile("rb").read()


class TestSharing:
    def test_two_members_share(self, http: httpx.Client, topic: str, group: str) -> None:
        fill(http, topic, 30)
        first = HttpMember(http, group, topic)
        read = first.poll()
        second = HttpMember(http, group, topic)
        assert second.partitions == set()
        assert second.joined["rebalancing"]
        assert first.poll() == []
        assert first.last["rebalancing"]
        [revoked] = first.last["revoked"]
        assert revoked["topic"] == topic
        assert second.poll() == [], "it is the first one's until its next poll"
        first.poll()
        fill(http, topic, 30)
        read += second.poll(wait_ms=10_000) + first.poll()
        assert first.partitions | second.partitions == {0, 1, 2}
        assert not first.partitions & second.partitions
        assert second.partitions == {revoked["partition"]}
        assert places(read) == [(p, n) for p in range(3) for n in range(20)]

    def test_what_is_taken_away_can_be_committed_before(
        self, http: httpx.Client, topic: str, group: str
    ) -> None:
        fill(http, topic, 30)
        first = HttpMember(http, group, topic)
        first.poll(commit=False)
        second = HttpMember(http, group, topic)
        before = first.cursor
        first.poll(commit=False)
        [revoked] = first.last["revoked"]
        first.post("commit", cursor=before).raise_for_status()
        assert committed(http, group) == {0: 10, 1: 10, 2: 10}
        first.poll(commit=False)
        assert second.poll(wait_ms=10) == []
        assert second.partitions == {revoked["partition"]}

    def test_a_cursor_from_before_commits_nothing_that_others_have(
        self, http: httpx.Client, topic: str, group: str
    ) -> None:
        fill(http, topic, 30)
        first = HttpMember(http, group, topic)
        first.poll(commit=False)
        before = first.cursor
        second = HttpMember(http, group, topic)
        first.poll(commit=False)
        first.poll(commit=False)
        [lost] = {0, 1, 2} - first.partitions
        first.post("commit", cursor=before).raise_for_status()
        assert committed(http, group) == dict.fromkeys(first.partitions, 10)
        offset = {"topic": topic, "partition": lost, "offset": 10}
        answer = first.post("commit", offsets=[offset])
        assert code(answer, 409) == "partition_not_owned"
        assert len(second.poll(wait_ms=10_000)) == 10

    def test_more_members_than_partitions(
        self, http: httpx.Client, single: str, group: str
    ) -> None:
        members = [HttpMember(http, group, single) for _ in range(3)]
        assert [member.partitions for member in members] == [{0}, set(), set()]
        assert members[1].poll(wait_ms=10) == []
        members[0].leave()
        owners = [member for member in members[1:] if member.poll() == [] and member.partitions]
        assert len(owners) == 1

    def test_a_silent_member_is_given_up(
        self, start_broker: Callable[..., BrokerProcess], group: str
    ) -> None:
        broker = start_broker("--set", "group.min.session.timeout.ms=100")
        with broker.client() as http:
            http.post("/v1/topics", json={"name": "t", "partitions": 3}).raise_for_status()
            fill(http, "t", 30)
            silent = HttpMember(http, group, "t", session_timeout_ms=1_000)
            silent.poll()
            second = HttpMember(http, group, "t")
            records = second.poll(wait_ms=30_000)
            assert values(records)
            assert second.partitions == {0, 1, 2}
            answer = silent.post("poll", cursor=silent.cursor)
            assert code(answer, 404) == "unknown_member"
            assert "join again" in answer.json()["error"]["message"]
            assert code(silent.post("commit", cursor=silent.cursor), 404) == "unknown_member"

    def test_a_caller_that_hangs_up_is_not_kept_alive(
        self, start_broker: Callable[..., BrokerProcess], group: str
    ) -> None:
        broker = start_broker(
            *("--set", "group.min.session.timeout.ms=100"),
            *("--set", "group.consumer.min.heartbeat.interval.ms=100"),
            *("--set", "group.consumer.heartbeat.interval.ms=100"),
        )
        with broker.client() as http:
            http.post("/v1/topics", json={"name": "t", "partitions": 1}).raise_for_status()
            first = HttpMember(http, group, "t", session_timeout_ms=1_000)
            with begun_poll(broker, first):
                second = HttpMember(http, group, "t")
            assert second.poll_until({0}) == []


class TestStaticMembers:
    def test_who_joins_with_the_instance_id_takes_over(
        self, http: httpx.Client, topic: str, group: str
    ) -> None:
        fill(http, topic, 30)
        first = HttpMember(http, group, topic, instance_id="till-1")
        second = HttpMember(http, group, topic, instance_id="till-2")
        first.poll()
        first.poll()
        second.poll()
        mine, generation = first.partitions, first.last["generation"]
        back = HttpMember(http, group, topic, instance_id="till-1")
        assert back.member_id != first.member_id
        assert back.partitions == mine
        assert back.joined["generation"] == generation
        assert back.poll() == []
        second.poll()
        assert not second.last["revoked"]
        assert second.last["generation"] == generation
        answer = first.post("poll", cursor=first.cursor)
        assert code(answer, 409) == "fenced_instance"
        members = http.get(f"/v1/groups/{group}").json()["members"]
        assert {one["instance_id"] for one in members} == {"till-1", "till-2"}

    def test_leaving_frees_the_instance_id(
        self, http: httpx.Client, topic: str, group: str
    ) -> None:
        HttpMember(http, group, topic, instance_id="till-1").leave()
        assert http.get(f"/v1/groups/{group}").json()["members"] == []


class TestRestart:
    def test_members_go_on_with_their_cursors(
        self, start_broker: Callable[..., BrokerProcess], group: str
    ) -> None:
        broker = start_broker()
        with broker.client() as http:
            http.post("/v1/topics", json={"name": "t", "partitions": 3}).raise_for_status()
            fill(http, "t", 30)
            before = HttpMember(http, group, "t")
            read = before.poll(max_records=12)
        broker.kill()
        broker.start()
        with broker.client() as http:
            path = f"{before.path}/poll"
            answer = http.post(path, json={"cursor": before.cursor})
            assert answer.status_code == 200, answer.text
            assert answer.json()["generation"] == before.joined["generation"]
            rest = answer.json()["records"]
            assert places(read + rest) == [(p, n) for p in range(3) for n in range(10)]

    def test_a_repeated_join_is_the_same_member(
        self, http: httpx.Client, topic: str, group: str
    ) -> None:
        path, body = f"/v1/groups/{group}/members", {"topics": [topic]}
        first, second = (
            http.post(path, json=body, headers={"Idempotency-Key": "a"}).json() for _ in range(2)
        )
        assert first["member_id"] == second["member_id"]
        assert second["assignment"] == first["assignment"]
        other = http.post(path, json=body, headers={"Idempotency-Key": "b"}).json()
        assert other["member_id"] != first["member_id"]


class TestBadInput:
    @pytest.mark.parametrize(
        ("body", "status", "expected"),
        [
            ({}, 422, "invalid_request"),
            ({"topics": []}, 422, "invalid_request"),
            ({"topics": "t"}, 422, "invalid_request"),
            ({"topics": ["no-such-topic"]}, 404, "unknown_topic"),
            ({"session_timeout_ms": 5_999}, 422, "invalid_session_timeout"),
            ({"session_timeout_ms": 1_800_001}, 422, "invalid_session_timeout"),
            ({"session_timeout_ms": "45000"}, 422, "invalid_request"),
            ({"session_timeout_ms": 2**70}, 422, "invalid_session_timeout"),
            ({"instance_id": ""}, 422, "invalid_request"),
            ({"auto_offset_reset": "none"}, 422, "invalid_request"),
            ({"group": "g"}, 422, "invalid_request"),
        ],
    )
    def test_join(
        self,
        http: httpx.Client,
        topic: str,
        group: str,
        body: dict[str, Any],
        status: int,
        expected: str,
    ) -> None:
        whole = body if body == {} else {"topics": [topic], **body}
        answer = http.post(f"/v1/groups/{group}/members", json=whole)
        assert code(answer, status) == expected
        assert http.get(f"/v1/groups/{group}").status_code == 404, "nothing came to be"

    @pytest.mark.parametrize(
        "options",
        [
            {"max_records": 0},
            {"max_records": 10_001},
            {"max_bytes": 0},
            {"max_bytes": 2**40},
            {"wait_ms": -1},
            {"wait_ms": 60_001},
            {"wait_ms": 1.5},
            {"commit": "yes"},
            {"value": "xml"},
            {"offset": 3},
            {"cursor": None},
        ],
    )
    def test_poll(
        self, http: httpx.Client, topic: str, group: str, options: dict[str, Any]
    ) -> None:
        member = HttpMember(http, group, topic)
        answer = member.post("poll", **{"cursor": member.cursor, **options})
        assert code(answer, 422) == "invalid_request"

    @pytest.mark.parametrize("cursor", ["", "x", "AAAA", "ÿ", "A" * 10_000])
    def test_cursors_that_are_none(
        self, http: httpx.Client, topic: str, group: str, cursor: str
    ) -> None:
        member = HttpMember(http, group, topic)
        for call in ("poll", "commit"):
            assert code(member.post(call, cursor=cursor), 422) == "invalid_cursor"

    def test_the_cursor_of_another_member(self, http: httpx.Client, topic: str, group: str) -> None:
        one, other = HttpMember(http, group, topic), HttpMember(http, group, topic)
        assert code(one.post("poll", cursor=other.cursor), 422) == "invalid_cursor"

    @pytest.mark.parametrize(
        ("offsets", "status", "expected"),
        [
            ([], 422, "invalid_request"),
            ([{"topic": "no-such", "partition": 0, "offset": 0}], 404, "unknown_topic"),
            ([{"partition": 3, "offset": 0}], 409, "partition_not_owned"),
            ([{"partition": 0, "offset": -1}], 422, "invalid_request"),
            ([{"partition": 0, "offset": 2**63}], 422, "invalid_request"),
            ([{"partition": 0, "offset": 1, "metadata": "x" * 5000}], 422, "metadata_too_large"),
        ],
    )
    def test_commit(
        self,
        http: httpx.Client,
        topic: str,
        group: str,
        offsets: list[dict[str, Any]],
        status: int,
        expected: str,
    ) -> None:
        member = HttpMember(http, group, topic)
        answer = member.post("commit", offsets=[{"topic": topic, **one} for one in offsets])
        assert code(answer, status) == expected
        assert committed(http, group) == {}

    def test_commit_takes_one_thing(self, http: httpx.Client, topic: str, group: str) -> None:
        member = HttpMember(http, group, topic)
        offsets = [{"topic": topic, "partition": 0, "offset": 0}]
        assert code(member.post("commit"), 422) == "invalid_request"
        both = member.post("commit", cursor=member.cursor, offsets=offsets)
        assert code(both, 422) == "invalid_request"

    def test_members_that_are_none(self, http: httpx.Client, topic: str, group: str) -> None:
        member = HttpMember(http, group, topic)
        member.leave()
        assert code(http.delete(member.path), 404) == "unknown_member"
        for cursor in (member.cursor, "x"):
            assert code(member.post("poll", cursor=cursor), 404) == "unknown_member"
        assert code(http.delete(f"/v1/groups/{group}/members/nobody"), 404) == "unknown_member"
