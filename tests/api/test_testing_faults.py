"""``TidelogBroker`` killed, restarted, paused and moved through time, with clients at work."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import httpx
import pytest
from confluent_kafka import Producer

from tests.support.tester import check_that_it_ends_with
from tidelog.testing import BrokerNotRunning, BrokerNotStarted, TidelogBroker

MILLISECOND = timedelta(milliseconds=1)
ABANDON_PAUSED = """
import os
from tidelog.testing import TidelogBroker

broker = TidelogBroker()
broker.start()
broker.pause()
print(broker.pid, flush=True)
input()
os._exit(1)
"""


@pytest.fixture
def broker() -> Iterator[TidelogBroker]:
    with TidelogBroker() as broker:
        yield broker


def read_all(broker: TidelogBroker, topic: str) -> list[str]:
    answer = httpx.get(f"{broker.http}/v1/topics/{topic}/partitions/0/records", timeout=60)
    return [record["value"] for record in answer.raise_for_status().json()["records"]]


def write(broker: TidelogBroker, topic: str, *values: str) -> None:
    body = {"records": [{"value": value} for value in values]}
    httpx.post(f"{broker.http}/v1/topics/{topic}/records", json=body).raise_for_status()


# Its life


@pytest.mark.parametrize("end", [TidelogBroker.kill, TidelogBroker.pause, lambda broker: None])
def test_it_comes_back_where_it_was_with_what_it_had(broker: TidelogBroker, end: object) -> None:
    topic = broker.create_topic("orders")
    write(broker, topic, "before")
    places = broker.kafka, broker.http, broker.data_dir
    before = broker.pid
    assert callable(end)
    end(broker)
    broker.restart()
    assert (broker.kafka, broker.http, broker.data_dir) == places
    assert broker.pid != before
    assert broker.running
    assert read_all(broker, topic) == ["before"]


def test_a_client_lives_through_a_crash(broker: TidelogBroker) -> None:
    topic = broker.create_topic("orders")
    producer = Producer({"bootstrap.servers": broker.kafka})
    producer.produce(topic, b'"one"')
    assert producer.flush(60) == 0
    broker.kill()
    assert not broker.running
    producer.produce(topic, b'"two"')
    broker.start()
    assert producer.flush(60) == 0
    assert read_all(broker, topic) == ["one", "two"]


def test_the_log_spans_its_lives_and_outlasts_it() -> None:
    broker = TidelogBroker()
    with broker:
        broker.restart()
        position = broker.log_bytes
        assert "stopping" in broker.log_since(0)
        assert broker.log_since(position) == ""
    assert broker.log.count("stopping") == 2
    assert broker.log_since(0) == ""
    with broker:
        assert "stopping" not in broker.log


def test_a_log_that_a_test_took_away_is_empty(tmp_path: Path) -> None:
    with TidelogBroker(str(tmp_path / "here")) as broker:
        broker.restart()
        tmp_path.joinpath("here").rename(tmp_path / "there")
        assert (broker.log, broker.log_bytes, broker.log_since(0)) == ("", 0, "")
        tmp_path.joinpath("there").rename(tmp_path / "here")
        assert "stopping" in broker.log


def test_a_start_that_fails_in_the_middle_of_its_life_keeps_the_data(broker: TidelogBroker) -> None:
    broker.create_topic("orders")
    broker.kill()
    lock = broker.data_dir / "meta.properties"
    kept = lock.read_bytes()
    lock.unlink()
    lock.mkdir()
    with pytest.raises(BrokerNotStarted):
        broker.start()
    lock.rmdir()
    lock.write_bytes(kept)
    broker.start()
    assert read_all(broker, "orders") == []


def test_what_it_is_can_be_read() -> None:
    broker = TidelogBroker()
    assert repr(broker) == "<TidelogBroker, not started>"
    with broker:
        facts = re.escape(f"kafka={broker.kafka} http={broker.http} pid={broker.pid}")
        assert re.fullmatch(f"<TidelogBroker {facts}>", repr(broker))
        with broker.paused():
            assert repr(broker).endswith(f"pid={broker.pid}, paused>")
        assert re.fullmatch(f"<TidelogBroker {facts}>", repr(broker))
        broker.kill()
        assert repr(broker).endswith(f"pid={broker.pid}, ended with status -9>")
    assert repr(broker) == "<TidelogBroker, not started>"


def test_what_needs_a_broker_that_runs_says_so(broker: TidelogBroker) -> None:
    with pytest.raises(RuntimeError, match="runs already"):
        broker.start()
    broker.pause()
    with pytest.raises(BrokerNotRunning, match=", paused> cannot do that"):
        broker.create_topic("orders")
    with pytest.raises(BrokerNotRunning):
        broker.clock.advance(hours=1)
    assert broker.clock.ahead == timedelta()
    broker.kill()
    for method in (broker.pause, broker.resume, lambda: broker.create_topic("orders")):
        with pytest.raises(BrokerNotRunning, match="ended with status -9> cannot do that"):
            method()
    broker.kill()
    with pytest.raises(BrokerNotRunning, match="not started"):
        TidelogBroker().pause()


def test_an_exception_takes_the_end_of_the_log_along() -> None:
    def fail() -> None:
        with TidelogBroker() as broker:
            broker.restart()
            raise KeyError("something")

    with pytest.raises(KeyError) as raised:
        fail()
    (note,) = raised.value.__notes__
    assert re.match(r"<TidelogBroker kafka=\S+ http=\S+ pid=\d+> logged:\n", note)
    assert "stopping" in note


# Paused


def test_a_paused_broker_keeps_its_connections_and_answers_later(broker: TidelogBroker) -> None:
    with httpx.Client(base_url=broker.http, timeout=60) as http:
        http.get("/health/live").raise_for_status()
        with broker.paused():
            with pytest.raises(httpx.ReadTimeout):
                httpx.get(f"{broker.http}/health/live", timeout=0.2)
            assert broker.running
        assert http.get("/health/live").status_code == 200


def test_it_may_be_killed_while_it_is_paused(broker: TidelogBroker) -> None:
    with broker.paused():
        broker.kill()
    broker.start()
    with broker.paused():
        pass
    assert httpx.get(f"{broker.http}/health/live").status_code == 200


def test_a_stop_does_not_wait_for_a_paused_one() -> None:
    with TidelogBroker() as broker:
        broker.pause()
    assert broker.log.count("stopping") == 1


def test_a_paused_broker_ends_when_the_process_that_tests_is_killed() -> None:
    check_that_it_ends_with(ABANDON_PAUSED)


# Asyncio


async def test_the_event_loop_goes_on_while_it_starts() -> None:
    rounds = 0

    async def count() -> None:
        nonlocal rounds
        while True:
            await asyncio.sleep(0)
            rounds += 1

    counting = asyncio.create_task(count())
    async with TidelogBroker() as broker:
        assert rounds > 1
        async with httpx.AsyncClient(base_url=broker.http) as http:
            assert (await http.get("/health/live")).status_code == 200
    assert not broker.running
    counting.cancel()


# The clock


def test_retention_has_run_when_the_time_has_passed(broker: TidelogBroker) -> None:
    broker.create_topic("hours", retention_ms=3_600_000)
    broker.create_topic("days", retention_ms=86_400_000)
    for topic in ("hours", "days"):
        write(broker, topic, "old")
    broker.clock.advance(minutes=50)
    write(broker, "hours", "new")
    broker.clock.advance(minutes=5)
    assert read_all(broker, "hours") == ["old", "new"]
    broker.clock.advance(hours=2)
    partition = httpx.get(f"{broker.http}/v1/topics/hours").json()["partitions"][0]
    assert (partition["start_offset"], partition["end_offset"]) == (2, 2)
    assert read_all(broker, "days") == ["old"]
    broker.clock.advance(days=1)
    partition = httpx.get(f"{broker.http}/v1/topics/days").json()["partitions"][0]
    assert partition["start_offset"] == 1


def test_a_member_whose_session_is_over_is_out_of_its_group(broker: TidelogBroker) -> None:
    topic = broker.create_topic("orders")
    members = f"{broker.http}/v1/groups/billing/members"
    joined = httpx.post(members, json={"topics": [topic], "session_timeout_ms": 45_000}).json()
    poll = f"{members}/{joined['member_id']}/poll"
    broker.clock.advance(seconds=30)
    first = httpx.post(poll, json={"cursor": joined["cursor"], "wait_ms": 0})
    assert first.status_code == 200
    broker.clock.advance(seconds=46)
    late = httpx.post(poll, json={"cursor": first.json()["cursor"], "wait_ms": 0})
    assert (late.status_code, late.json()["error"]["code"]) == (404, "unknown_member")


def test_committed_offsets_are_gone_when_their_time_is_over(broker: TidelogBroker) -> None:
    topic = broker.create_topic("orders")
    group = f"{broker.http}/v1/groups/billing"
    place = {"topic": topic, "partition": 0, "offset": 0}
    httpx.put(f"{group}/offsets", json={"offsets": [place]}).raise_for_status()
    broker.clock.advance(days=6)
    assert httpx.get(group).status_code == 200
    broker.clock.advance(days=2)
    assert httpx.get(group).status_code == 404


def test_who_waits_has_waited(broker: TidelogBroker) -> None:
    broker.create_topic("orders")
    polling = http.client.HTTPConnection(broker.http.removeprefix("http://"))
    polling.request("GET", "/health/live")
    polling.getresponse().read()
    before = datetime.now(UTC)
    polling.request("GET", "/v1/topics/orders/partitions/0/records?offset=0&wait_ms=60000")
    while not select.select([polling.sock], [], [], 0)[0]:
        broker.clock.advance(seconds=61)
    assert json.loads(polling.getresponse().read())["records"] == []
    assert datetime.now(UTC) - before < timedelta(seconds=50)
    polling.close()


def test_a_clock_is_set_to_any_time_and_keeps_it_over_restarts(broker: TidelogBroker) -> None:
    topic = broker.create_topic("orders", retention_ms=-1)
    moments = [
        datetime(2013, 1, 1, 5, 15, tzinfo=timezone(timedelta(hours=-5))),
        datetime(2100, 2, 28, 23, 59, 59, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
    ]
    for moment in moments:
        broker.clock.set(moment)
        write(broker, topic, "then")
        assert timedelta() <= broker.clock.now() - moment < timedelta(minutes=1)
        broker.restart()
        write(broker, topic, "then")
    answer = httpx.get(f"{broker.http}/v1/topics/{topic}/partitions/0/records").json()
    written = [datetime.fromtimestamp(one["timestamp"] / 1000, UTC) for one in answer["records"]]
    expected = [moment for moment in moments for _ in range(2)]
    for stamp, moment in zip(written, expected, strict=True):
        assert -MILLISECOND <= stamp - moment < timedelta(minutes=1)


def test_a_clock_that_is_set_before_the_start() -> None:
    broker = TidelogBroker()
    broker.clock.set(datetime(2030, 1, 1, tzinfo=UTC))
    broker.clock.advance(days=1)
    with broker:
        write(broker, broker.create_topic("orders"), "then")
        answer = httpx.get(f"{broker.http}/v1/topics/orders/partitions/0/records").json()
    stamp = datetime.fromtimestamp(answer["records"][0]["timestamp"] / 1000, UTC)
    assert stamp.date().isoformat() == "2030-01-02"
    assert repr(broker.clock).startswith("<BrokerClock 2030-01-02T00:")


def test_what_a_clock_cannot_do() -> None:
    clock = TidelogBroker().clock
    with pytest.raises(ValueError, match=r"clock\.set"):
        clock.advance(hours=-1)
    with pytest.raises(ValueError, match="time zone"):
        clock.set(datetime(2030, 1, 1))
    with pytest.raises(ValueError, match="before 1970"):
        clock.set(datetime(1969, 12, 31, tzinfo=UTC))
    assert clock.ahead == timedelta()


def test_a_clock_ahead_needs_standard_input() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tidelog", "serve", "--clock-ahead", "0"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "tidelog: --clock-ahead needs --until-eof\n"
