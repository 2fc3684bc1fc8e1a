"""Odd batches that came over the Kafka protocol, as every reader over HTTP meets them.

What can be shown is shown; what cannot is told with the offset after it, never swallows what came
before it, and can be passed.
"""

from __future__ import annotations

import base64
import gzip
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.broker_process import BrokerProcess
from tests.support.kafka_wire import Wire
from tests.support.odd_batches import (
    BODY,
    BROKEN_INSIDE,
    GZIP,
    NAME,
    NOW,
    READABLE,
    batch,
    record,
    sized,
    three,
)

BAD = BROKEN_INSIDE["gzip that is cut short"]
GOOD = batch(BODY)
NDJSON = {"Accept": "application/x-ndjson"}
EVENTS = {"Accept": "text/event-stream"}
SKIP = {"on_corrupt": "skip"}


@pytest.fixture(scope="module")
def wire(broker: BrokerProcess) -> Iterator[Wire]:
    opened = Wire(broker.kafka)
    yield opened
    opened.close()


@pytest.fixture
def send(wire: Wire) -> Callable[..., None]:
    """Appends batches as they are."""
    return wire.produce


def path_of(topic: str, partition: int = 0) -> str:
    return f"/v1/topics/{topic}/partitions/{partition}/records"


def offsets(answer: httpx.Response) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [one["offset"] for one in answer.json()["records"]]


def refused(answer: httpx.Response) -> dict[str, Any]:
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "unreadable_batch")
    return dict(error["details"])


def place(details: dict[str, Any]) -> tuple[int, int, int]:
    return details["partition"], details["offset"], details["next_offset"]


def lines_of(answer: httpx.Response) -> list[Any]:
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


class TestWhatCanBeShown:
    def test_every_batch_that_apache_kafka_reads(
        self, http: httpx.Client, single: str, send: Callable[..., None]
    ) -> None:
        send(single, *READABLE.values())
        shown = lines_of(http.get(path_of(single), headers=NDJSON))
        assert [one["offset"] for one in shown] == list(range(len(shown)))
        assert len(shown) == 3 * (len(READABLE) - 4) + 4 * 300

    def test_a_name_that_is_not_utf_8(
        self, http: httpx.Client, single: str, send: Callable[..., None]
    ) -> None:
        field = sized(NAME) + sized(b"h")
        send(single, batch(three(headers=b"\2" + field)))
        send(single, batch(three(headers=b"\4" + field + sized("ü".encode()) + sized(b"\xff"))))
        shown = {"name_base64": base64.b64encode(NAME).decode(), "value": "h"}
        other = {"name": "ü", "value_base64": "/w=="}
        fetched = http.get(path_of(single)).json()["records"]
        assert [one["headers"] for one in fetched] == [[shown]] * 3 + [[shown, other]] * 3
        body = {"records": [{"headers": fetched[3]["headers"]}]}
        http.post(f"/v1/topics/{single}/records", json=body).raise_for_status()
        (again,) = http.get(path_of(single), params={"offset": 6}).json()["records"]
        assert again["headers"] == [shown, other]

    @pytest.mark.parametrize(
        "numbers", [(0, 0, 0), (2, 1, 0), (0, 1, 7), (1, 2, 3), (-1, 1, 2)], ids=str
    )
    def test_numbers_that_a_producer_got_wrong(
        self,
        http: httpx.Client,
        single: str,
        send: Callable[..., None],
        numbers: tuple[int, ...],
    ) -> None:
        send(single, GOOD, batch(b"".join(map(record, numbers))), GOOD)
        assert offsets(http.get(path_of(single))) == list(range(9))
        step = {"offset": 3, "max_records": 2}
        first = http.get(path_of(single), params=step)
        assert offsets(first) == [3, 4]
        assert first.json()["next_offset"] == 5


class TestFetch:
    @pytest.mark.parametrize("name", BROKEN_INSIDE)
    def test_what_cannot_be_read_is_told_and_passed(
        self, http: httpx.Client, single: str, send: Callable[..., None], name: str
    ) -> None:
        bad = BROKEN_INSIDE[name]
        count = int.from_bytes(bad[57:61], "big")
        send(single, GOOD, bad, GOOD)
        before = http.get(path_of(single))
        assert offsets(before) == [0, 1, 2]
        assert before.json()["next_offset"] == 3
        details = refused(http.get(path_of(single), params={"offset": 3}))
        following = 3 + count
        assert details["topic"] == single
        assert place(details) == (0, 3, following)
        assert details["reason"]
        assert not details["damaged"]
        after = http.get(path_of(single), params={"offset": following})
        assert offsets(after) == list(range(following, following + 3))
        passed = http.get(path_of(single), params=SKIP)
        assert offsets(passed) == [0, 1, 2, *range(following, following + 3)]
        assert passed.json()["skipped"] == [details]
        assert passed.json()["next_offset"] == following + 3

    def test_the_middle_of_a_batch(
        self, http: httpx.Client, single: str, send: Callable[..., None]
    ) -> None:
        send(single, BAD, GOOD)
        details = refused(http.get(path_of(single), params={"offset": 1}))
        assert place(details) == (0, 1, 3)

    def test_bounds_end_before_it(
        self, http: httpx.Client, single: str, send: Callable[..., None]
    ) -> None:
        send(single, GOOD, BAD, BAD, GOOD)
        for count in (1, 2, 3):
            answer = http.get(path_of(single), params={"max_records": count, **SKIP})
            assert offsets(answer) == list(range(count))
            assert "skipped" not in answer.json()
        answer = http.get(path_of(single), params={"offset": 3, "max_records": 1, **SKIP})
        assert offsets(answer) == []
        assert answer.json()["next_offset"] == 6
        assert [place(one) for one in answer.json()["skipped"]] == [(0, 3, 6)]

    def test_lines(self, http: httpx.Client, single: str, send: Callable[..., None]) -> None:
        send(single, GOOD, BAD, GOOD)
        *before, last = lines_of(http.get(path_of(single), headers=NDJSON))
        assert [one["offset"] for one in before] == [0, 1, 2]
        assert last["error"]["code"] == "unreadable_batch"
        assert place(last["error"]["details"]) == (0, 3, 6)
        refused(http.get(path_of(single), params={"offset": 3}, headers=NDJSON))
        *passed, told = lines_of(http.get(path_of(single), params=SKIP, headers=NDJSON))
        assert [one["offset"] for one in passed] == [0, 1, 2, 6, 7, 8]
        assert [place(one) for one in told["skipped"]] == [(0, 3, 6)]

    def test_events(
        self, broker: BrokerProcess, http: httpx.Client, single: str, send: Callable[..., None]
    ) -> None:
        send(single, GOOD, BAD, GOOD)
        answer = http.get(path_of(single), headers=EVENTS)
        *before, last, _ = answer.text.split("\n\n")
        assert [one.split("\n")[0] for one in before] == ["id: 0", "id: 1", "id: 2"]
        kind, data = last.split("\n")
        assert kind == "event: error"
        assert place(json.loads(data.removeprefix("data: "))["error"]["details"]) == (0, 3, 6)
        # A browser comes back after the last id: this answer ends its trying.
        refused(http.get(path_of(single), headers={**EVENTS, "Last-Event-ID": "2"}))
        with (
            broker.client() as tail,
            tail.stream("GET", path_of(single), params=SKIP, headers=EVENTS) as stream,
        ):
            lines = (line for line in stream.iter_lines() if line)
            shown = list(itertools.takewhile(lambda line: line != "event: skipped", lines))
            assert [line for line in shown if line.startswith("id:")][3:] == [
                *("id: 6", "id: 7", "id: 8")
            ]
            told = json.loads(next(lines).removeprefix("data: "))
            assert [place(one) for one in told["skipped"]] == [(0, 3, 6)]

    def test_stored_batches_are_handed_out_as_they_are(
        self, http: httpx.Client, single: str, send: Callable[..., None]
    ) -> None:
        send(single, GOOD, BAD, GOOD)
        headers = {"Accept": "application/octet-stream"}
        answer = http.get(path_of(single), headers=headers)
        assert len(answer.content) == 2 * len(GOOD) + len(BAD)

    def test_far_more_records_than_memory_is_for(
        self, http: httpx.Client, single: str, send: Callable[..., None]
    ) -> None:
        count = 1_000_001
        body = gzip.compress(record(value=sized(b"v")) * count, 1)
        send(single, batch(body, GZIP, count), GOOD)
        details = refused(http.get(path_of(single)))
        assert place(details) == (0, 0, count)
        assert offsets(http.get(path_of(single), params=SKIP)) == list(range(count, count + 3))

    def test_a_choice_that_there_is_not(self, http: httpx.Client, single: str) -> None:
        answer = http.get(path_of(single), params={"on_corrupt": "ignore"})
        assert answer.status_code == 422
        assert answer.json()["error"]["details"] == {"parameter": "on_corrupt"}


class TestReplay:
    def path(self, topic: str) -> str:
        return f"/v1/topics/{topic}/records"

    @pytest.fixture
    def two(self, http: httpx.Client, topic: str, send: Callable[..., None]) -> str:
        """What cannot be read has times between those of the other partition."""
        send(topic, GOOD, BAD, GOOD)
        for number, time in enumerate((-5, 5, 40)):
            body = {"partition": 1, "value": number, "timestamp": 1_700_000_000_000 + time}
            http.post(self.path(topic), json={"records": [body]}).raise_for_status()
        return topic

    def told(self, records: list[dict[str, Any]]) -> list[tuple[int, int]]:
        return [(one["partition"], one["offset"]) for one in records]

    BEFORE = ((1, 0), (0, 0), (1, 1), (0, 1), (0, 2))
    AFTER = ((0, 6), (0, 7), (0, 8), (1, 2))

    def test_page_after_page(self, http: httpx.Client, two: str) -> None:
        first = http.get(self.path(two)).json()
        assert self.told(first["records"]) == list(self.BEFORE)
        cursor = {"cursor": first["cursor"]}
        assert place(refused(http.get(self.path(two), params=cursor))) == (0, 3, 6)
        rest = http.get(self.path(two), params={**cursor, **SKIP}).json()
        assert self.told(rest["records"]) == list(self.AFTER)
        assert [place(one) for one in rest["skipped"]] == [(0, 3, 6)]
        end = {"cursor": rest["cursor"], "wait_ms": 0}
        assert http.get(self.path(two), params=end).json()["records"] == []

    def test_it_has_its_place_in_the_order_of_time(
        self, http: httpx.Client, topic: str, send: Callable[..., None]
    ) -> None:
        """What is earlier in other partitions comes first, what is later waits."""
        send(topic, BAD)
        for value, time in (("before", -1), ("after", 1)):
            body = {"partition": 1, "value": value, "timestamp": 1_700_000_000_000 + time}
            http.post(self.path(topic), json={"records": [body]}).raise_for_status()
        first = http.get(self.path(topic)).json()
        assert [one["value"] for one in first["records"]] == ["before"]
        refused(http.get(self.path(topic), params={"cursor": first["cursor"]}))
        both = http.get(self.path(topic), params=SKIP).json()
        assert [one["value"] for one in both["records"]] == ["before", "after"]

    def test_only_what_is_asked_for_can_stop_it(
        self, http: httpx.Client, topic: str, send: Callable[..., None]
    ) -> None:
        send(topic, GOOD, BAD)
        to = {"to": 1_700_000_000_000 + 10}
        assert self.told(http.get(self.path(topic), params=to).json()["records"]) == [(0, 0)]
        passed = http.get(self.path(topic), params={**to, **SKIP}).json()
        assert "skipped" not in passed

    def test_lines(self, http: httpx.Client, two: str) -> None:
        *before, last = lines_of(http.get(self.path(two), headers=NDJSON))
        assert self.told(before) == list(self.BEFORE)
        assert place(last["error"]["details"]) == (0, 3, 6)
        *passed, told = lines_of(http.get(self.path(two), params=SKIP, headers=NDJSON))
        assert self.told(passed) == [*self.BEFORE, *self.AFTER]
        assert [place(one) for one in told["skipped"]] == [(0, 3, 6)]

    def test_events(self, http: httpx.Client, two: str) -> None:
        *before, last, _ = http.get(self.path(two), headers=EVENTS).text.split("\n\n")
        assert len(before) == len(self.BEFORE)
        cursor = before[-1].split("\n")[0].removeprefix("id: ")
        assert last.startswith("event: error\ndata: ")
        refused(http.get(self.path(two), headers={**EVENTS, "Last-Event-ID": cursor}))


class TestPoll:
    @pytest.fixture
    def poll(self, http: httpx.Client, topic: str) -> Iterator[Callable[..., httpx.Response]]:
        """Polls as the one member of a group; answers are gone on from unless they are refused."""
        members = f"/v1/groups/group-of-{topic}/members"
        joined = http.post(members, json={"topics": [topic]}).json()
        member = f"{members}/{joined['member_id']}"
        cursor = joined["cursor"]

        def polled(**body: Any) -> httpx.Response:
            nonlocal cursor
            answer = http.post(f"{member}/poll", json={"cursor": cursor, **body})
            cursor = answer.json().get("cursor", cursor)
            return answer

        yield polled
        http.delete(member).raise_for_status()

    def test_good_records_first_then_the_error_then_what_follows(
        self, topic: str, send: Callable[..., None], poll: Callable[..., httpx.Response]
    ) -> None:
        send(topic, GOOD, BAD, GOOD)
        assert offsets(poll()) == [0, 1, 2]
        for _ in range(2):
            assert place(refused(poll(wait_ms=60_000))) == (0, 3, 6)
        answer = poll(**SKIP)
        assert offsets(answer) == [6, 7, 8]
        assert [place(one) for one in answer.json()["skipped"]] == [(0, 3, 6)]
        last = poll()
        assert last.json()["records"] == []
        assert "skipped" not in last.json()

    def test_other_partitions_go_on(
        self,
        http: httpx.Client,
        topic: str,
        send: Callable[..., None],
        poll: Callable[..., httpx.Response],
    ) -> None:
        send(topic, BAD, GOOD)
        for number in range(3):
            send(topic, GOOD, partition=1)
            answer = poll()
            told = [(one["partition"], one["offset"]) for one in answer.json()["records"]]
            assert told == [(1, 3 * number + n) for n in range(3)]
            assert [place(one) for one in answer.json()["blocked"]] == [(0, 0, 3)]
        refused(poll())
        committed = http.get(f"/v1/groups/group-of-{topic}").json()["lag"]
        offsets_of = {one["partition"]: one["committed_offset"] for one in committed}
        assert offsets_of[0] in (None, 0)
        assert offsets_of[1] == 9

    def test_the_same_cursor_skips_the_same(
        self, http: httpx.Client, topic: str, send: Callable[..., None]
    ) -> None:
        members = f"/v1/groups/again-{topic}/members"
        joined = http.post(members, json={"topics": [topic]}).json()
        path, body = f"{members}/{joined['member_id']}/poll", {"cursor": joined["cursor"], **SKIP}
        send(topic, BAD)
        first = http.post(path, json=body).json()
        send(topic, GOOD)
        again = http.post(path, json=body).json()
        assert [place(one) for one in first["skipped"]] == [(0, 0, 3)]
        assert (again["skipped"], again["records"]) == (first["skipped"], [])
        following = http.post(path, json={"cursor": again["cursor"]})
        assert offsets(following) == [3, 4, 5]


class TestPages:
    @pytest.fixture
    def page(self, http: httpx.Client, single: str, send: Callable[..., None]) -> str:
        """A first page with a bad batch after three records."""
        send(single, GOOD, BAD)
        records = [{"value": number} for number in range(2000)]
        http.post(f"/v1/topics/{single}/records", json={"records": records}).raise_for_status()
        topic_id = http.get(f"/v1/topics/{single}").json()["id"]
        return f"/v1/topics/{single}/{topic_id}/partitions/0/pages"

    def test_it_ends_before_what_cannot_be_read(self, http: httpx.Client, page: str) -> None:
        for _ in range(2):
            answer = http.get(f"{page}/0")
            assert offsets(answer) == [0, 1, 2]
            assert answer.json()["next_offset"] == 3
            assert answer.headers["cache-control"] == "no-store"
            assert "etag" not in answer.headers
            assert 'offset=3>; rel="next"' in answer.headers["link"]
        *before, last = lines_of(http.get(f"{page}/0", headers=NDJSON))
        assert len(before) == 3
        assert place(last["error"]["details"]) == (0, 3, 6)
        assert "immutable" in http.get(f"{page}/1").headers["cache-control"]

    def test_or_passes_it(self, http: httpx.Client, page: str) -> None:
        answer = http.get(f"{page}/0", params=SKIP)
        assert offsets(answer) == [0, 1, 2, *range(6, 1000)]
        assert answer.json()["next_offset"] == 1000
        assert [place(one) for one in answer.json()["skipped"]] == [(0, 3, 6)]
        assert answer.headers["cache-control"] == "no-store"
        *shown, told = lines_of(http.get(f"{page}/0", params=SKIP, headers=NDJSON))
        assert len(shown) == 997
        assert [place(one) for one in told["skipped"]] == [(0, 3, 6)]
        whole = http.get(f"{page}/1", params=SKIP)
        assert "immutable" in whole.headers["cache-control"]
        assert "skipped" not in whole.json()

    def test_a_page_that_begins_with_it(
        self, http: httpx.Client, single: str, send: Callable[..., None]
    ) -> None:
        send(single, BAD)
        records = [{"value": number} for number in range(1000)]
        http.post(f"/v1/topics/{single}/records", json={"records": records}).raise_for_status()
        topic_id = http.get(f"/v1/topics/{single}").json()["id"]
        page = f"/v1/topics/{single}/{topic_id}/partitions/0/pages/0"
        assert place(refused(http.get(page))) == (0, 0, 3)
        assert offsets(http.get(page, params=SKIP)) == list(range(3, 1000))


class TestByTime:
    """Where times lie within such a batch nobody knows: its first offset stands for all of it."""

    def list_offsets(self, wire: Wire, topic: str, timestamp: int) -> tuple[int, int]:
        places = [{"partition_index": 0, "timestamp": timestamp}]
        asked = [{"name": topic, "partitions": places}]
        answer = wire.ask("list_offsets", 7, replica_id=-1, topics=asked)
        (found,) = answer["topics"][0]["partitions"]
        assert found["error_code"] == 0
        return found["offset"], found["timestamp"]

    def test_offsets_are_found(
        self, http: httpx.Client, wire: Wire, single: str, send: Callable[..., None]
    ) -> None:
        send(single, BAD, GOOD)
        assert self.list_offsets(wire, single, NOW + 15) == (0, NOW + 20)
        assert self.list_offsets(wire, single, NOW + 21) == (-1, -1)
        assert self.list_offsets(wire, single, -3) == (2, NOW + 20)
        body = {"topics": [{"name": single, "partitions": [{"partition_index": 0, "offset": 1}]}]}
        answer = wire.ask("delete_records", 2, timeout_ms=5000, **body)
        (deleted,) = answer["topics"][0]["partitions"]
        assert (deleted["error_code"], deleted["low_watermark"]) == (0, 1)
        assert self.list_offsets(wire, single, NOW) == (1, NOW + 20)
        at = http.get(path_of(single), params={"offset": f"ts:{NOW + 15}", **SKIP})
        assert offsets(at) == [3, 4, 5]

    def test_a_group_stands_before_it(
        self, http: httpx.Client, single: str, send: Callable[..., None]
    ) -> None:
        send(single, BAD, GOOD)
        group = f"/v1/groups/late-{single}"
        entry = {"topic": single, "partition": 0, "offset": 1}
        http.put(f"{group}/offsets", json={"offsets": [entry]}).raise_for_status()
        (lag,) = http.get(group).raise_for_status().json()["lag"]
        assert lag["lag"] == 5
        reset = {"to": "timestamp", "value": NOW + 15}
        done = http.post(f"{group}/offsets:reset", json=reset).raise_for_status().json()
        assert [change["after"] for change in done["changes"]] == [0]


class TestDamage:
    """Bytes that the disk has changed: an error of ours, but passed in the same way."""

    @pytest.mark.parametrize(
        "at",
        [16, 8, 10, 21, 26, 57, 70],
        ids=["magic", "length", "length a bit", "attributes", "last offset", "count", "records"],
    )
    def test_is_told_and_passed(self, start_broker: Callable[..., BrokerProcess], at: int) -> None:
        broker = start_broker()
        with broker.client() as http:
            http.post("/v1/topics", json={"name": "t", "partitions": 1}).raise_for_status()
            for _ in range(3):
                records = [{"value": "v" * 40}] * 3
                http.post("/v1/topics/t/records", json={"records": records}).raise_for_status()
        broker.stop()
        path = Path(broker.data_dir / "t-0" / ("0" * 20 + ".log"))
        data = bytearray(path.read_bytes())
        data[len(data) // 3 + at] ^= 0x11
        path.write_bytes(data)
        broker.start()
        with broker.client() as http:
            shown: list[int] = []
            told: list[int] = []
            offset = 0
            while offset < 9:
                answer = http.get(path_of("t"), params={"offset": offset})
                if answer.status_code == 200:
                    shown += offsets(answer)
                    offset = answer.json()["next_offset"]
                    continue
                error = answer.json()["error"]
                assert (answer.status_code, error["code"]) == (500, "corrupt_batch")
                assert error["details"]["damaged"]
                assert str(path.parent) in error["message"]
                assert error["details"]["offset"] == offset
                told += range(offset, error["details"]["next_offset"])
                offset = error["details"]["next_offset"]
            assert shown[:3] == [0, 1, 2]
            assert told[:3] == [3, 4, 5]
            assert sorted(shown + told) == list(range(9))
            assert shown[3:] == [6, 7, 8] or at in (8, 10, 16)
            passed = http.get(path_of("t"), params=SKIP)
            assert offsets(passed) == shown
            assert {one["damaged"] for one in passed.json()["skipped"]} == {True}
