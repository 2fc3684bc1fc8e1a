"""What the disk refuses, by its error number: the same on both doors, and told by readiness."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import shutil
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.support.broker_process import BrokerProcess
from tests.support.kafka_wire import Message, Wire, decode_response, encode_request
from tests.support.refusing_disk import RefusingDisk
from tidelog.api.address import Address
from tidelog.api.config import load_config
from tidelog.api.errors import http_error, kafka_error
from tidelog.api.kafka.dispatch import Dispatcher
from tidelog.api.kafka.peer import Peer
from tidelog.api.rest.context import RestContext
from tidelog.api.rest.door import RestDoor
from tidelog.broker.broker import Broker
from tidelog.broker.environment import Environment
from tidelog.broker.local.local_log import log_of
from tidelog.consumer_groups.coordinator import Coordinator
from tidelog.storage.batches.record_batch import encode_batch
from tidelog.storage.files import FileSlice

NOW = 1_700_000_000_000
KAFKA_STORAGE_ERROR = 56
SEGMENT = {"segment.bytes": str(1024 * 1024)}
HERE = Address("127.0.0.1", 9092)
LARGE = "x" * 700_000
"""Two of them do not fit one segment."""


class Site:
    """A broker on a disk that refuses, and its doors."""

    def __init__(self, broker: Broker, coordinator: Coordinator, http: httpx.AsyncClient) -> None:
        self.broker = broker
        self.http = http
        self._dispatcher = Dispatcher(broker, coordinator)

    async def kafka(self, api: str, version: int, **fields: Any) -> Message:
        frame = memoryview(bytearray(encode_request(api, version, fields)[4:]))
        reply = self._dispatcher.begin(frame, Peer("127.0.0.1", "127.0.0.1:1", HERE, HERE))
        done = asyncio.Event()
        reply.on_done(done.set)
        if not reply.done:
            await done.wait()
        assert not reply.broken
        parts = [p.read() if isinstance(p, FileSlice) else p for p in reply.parts]
        return decode_response(api, version, b"".join(parts)[4:])[1]

    async def produce(self, value: str) -> httpx.Response:
        return await self.http.post("/v1/topics/t/records", json={"records": [{"value": value}]})

    async def kafka_produce(self, value: str) -> int:
        records = bytes(encode_batch([(NOW, None, value.encode(), ())]))
        partition = {"index": 0, "records": records}
        topics = [{"name": "t", "partition_data": [partition]}]
        answer = await self.kafka("produce", 9, acks=-1, timeout_ms=1000, topic_data=topics)
        code: int = answer["responses"][0]["partition_responses"][0]["error_code"]
        return code

    async def kafka_fetch(self, offset: int) -> Message:
        partition = {"partition": 0, "fetch_offset": offset, "partition_max_bytes": 2_000_000}
        topics = [{"topic": "t", "partitions": [partition]}]
        answer = await self.kafka(
            "fetch", 11, max_wait_ms=0, min_bytes=1, max_bytes=2_000_000, topics=topics
        )
        found: Message = answer["responses"][0]["partitions"][0]
        return found

    async def ready(self) -> tuple[int, Any]:
        answer = await self.http.get("/health/ready")
        return answer.status_code, answer.json()


@pytest.fixture
def disk() -> RefusingDisk:
    return RefusingDisk()


@pytest.fixture
async def site(tmp_path: Path, disk: RefusingDisk) -> AsyncIterator[Site]:
    config = load_config({"data_dir": str(tmp_path / "data")}, {})
    broker = Broker(config.data_dir, config.broker, Environment(disk=disk))
    await broker.start()
    coordinator = Coordinator(broker)
    await coordinator.start()
    await coordinator.loaded()
    await broker.create_topic("t", 1, SEGMENT)
    transport = httpx.ASGITransport(RestDoor(RestContext(broker, coordinator, config)))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        yield Site(broker, coordinator, http)
    await coordinator.close()
    await broker.close()


def code(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["code"])


class Refusal(NamedTuple):
    """What the disk refuses while records are appended that need a new segment."""

    action: str
    pattern: str
    number: int
    status: int
    code: str
    passes: bool


NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FAILED = (errno.EIO, errno.EROFS, errno.EACCES, errno.ENOENT)
NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)
REFUSALS = [
    *(Refusal("append", "*/t-0/*.log", n, 507, "disk_full", True) for n in NO_SPACE),
    *(Refusal("append", "*/t-0/*.log", n, 503, "writes_stopped", False) for n in FAILED[:2]),
    *(Refusal("open", "*/t-0/*", n, 507, "disk_full", True) for n in NO_SPACE),
    *(Refusal("open", "*/t-0/*", n, 503, "too_many_open_files", True) for n in NO_DESCRIPTOR),
    *(Refusal("open", "*/t-0/*", n, 503, "writes_stopped", False) for n in FAILED),
    *(Refusal("sync", "*/t-0/*", n, 503, "writes_stopped", False) for n in (*NO_SPACE, *FAILED)),
    *(Refusal("sync_directory", "*/t-0", n, 503, "writes_stopped", False) for n in FAILED),
    *(Refusal("sync_directory", "*/t-0", n, 503, "too_many_open_files", True) for n in (24, 23)),
]


@pytest.mark.parametrize(
    "refusal", REFUSALS, ids=lambda one: f"{one.action} {errno.errorcode[one.number]}"
)
async def test_what_cannot_be_written(
    site: Site, disk: RefusingDisk, caplog: pytest.LogCaptureFixture, refusal: Refusal
) -> None:
    assert (await site.produce(LARGE)).status_code == 200
    with disk.refusing(refusal.action, refusal.pattern, refusal.number):
        answer = await site.produce(LARGE)
        assert (answer.status_code, code(answer)) == (refusal.status, refusal.code)
        assert answer.headers["retry-after"]
        assert "t-0" in answer.json()["error"]["message"]
        assert await site.kafka_produce(LARGE) == KAFKA_STORAGE_ERROR
        for _ in range(10):
            await site.produce(LARGE)
    logged = [one.getMessage() for one in caplog.records if one.name == "tidelog.store"]
    assert len(logged) == 1  # However many met it.
    assert logged[0].startswith(
        "writes are refused: " if refusal.passes else "t-0 takes no more writes: "
    )
    answer = await site.produce("small")
    status, told = await site.ready()
    if refusal.passes:
        assert answer.status_code == 200
        assert (status, told["broken"]) == (200, [])
    else:
        assert (answer.status_code, code(answer)) == (503, "writes_stopped")
        assert (status, told["status"]) == (503, "failing")
        [broken] = told["broken"]
        assert (broken["topic"], broken["partition"]) == ("t", 0)
        assert broken["reason"] in answer.json()["error"]["message"]
        [partition] = (await site.http.get("/v1/topics/t")).json()["partitions"]
        assert partition["writes_stopped"] == broken["reason"]
    assert (await site.http.get("/health/live")).status_code == 200
    first = await site.http.get("/v1/topics/t/partitions/0/records?max_records=1")
    assert first.json()["records"][0]["value"] == LARGE
    assert not [one for one in caplog.records if one.exc_info]


@pytest.mark.parametrize(
    ("action", "number", "word"),
    [
        *(("open", number, "too_many_open_files") for number in NO_DESCRIPTOR),
        *(("open", number, "disk_failed") for number in FAILED),
        ("read", errno.EIO, "disk_failed"),
    ],
)
async def test_what_cannot_be_read(
    site: Site,
    disk: RefusingDisk,
    caplog: pytest.LogCaptureFixture,
    action: str,
    number: int,
    word: str,
) -> None:
    for _ in range(2):
        await site.produce(LARGE)
    partition = site.broker.topic("t").partition(0)
    log_of(partition).segments[0].close_files()
    site.broker.cache.drop(partition.log_id)
    with disk.refusing(action, "*/t-0/*.log", number):
        answer = await site.http.get("/v1/topics/t/partitions/0/records")
        assert (answer.status_code, code(answer)) == (503, word)
        assert answer.headers["retry-after"]
        assert (await site.kafka_fetch(0))["error_code"] == KAFKA_STORAGE_ERROR
    answer = await site.http.get("/v1/topics/t/partitions/0/records?max_bytes=1")
    assert [record["offset"] for record in answer.json()["records"]] == [0]
    assert (await site.kafka_fetch(0))["error_code"] == 0
    assert (await site.produce("more")).status_code == 200
    assert not [one for one in caplog.records if one.exc_info]


@pytest.mark.parametrize(
    ("action", "number", "status", "word"),
    [
        *(("write_new", n, 507, "disk_full") for n in NO_SPACE),
        *(("write_new", n, 503, "too_many_open_files") for n in NO_DESCRIPTOR),
        *(("write_new", n, 503, "disk_failed") for n in FAILED),
        *(("sync_directory", n, 503, "disk_failed") for n in FAILED),
        *(("open", n, 503, "disk_failed") for n in FAILED),
        ("open", errno.EMFILE, 503, "too_many_open_files"),
        ("open", errno.ENOSPC, 507, "disk_full"),
    ],
)
async def test_topics_that_cannot_be_created(
    site: Site,
    disk: RefusingDisk,
    caplog: pytest.LogCaptureFixture,
    action: str,
    number: int,
    status: int,
    word: str,
) -> None:
    topic = {"name": "new", "num_partitions": 2, "replication_factor": 1}
    with disk.refusing(action, "*/new-1*", number):
        answer = await site.http.post("/v1/topics", json={"name": "new", "partitions": 2})
        assert (answer.status_code, code(answer)) == (status, word)
        assert answer.headers["retry-after"]
        refused = await site.kafka("create_topics", 5, topics=[topic], timeout_ms=1000)
        assert refused["topics"][0]["error_code"] == KAFKA_STORAGE_ERROR
        assert (await site.http.get("/v1/topics/new")).status_code == 404
    answer = await site.http.post("/v1/topics", json={"name": "new", "partitions": 2})
    assert answer.status_code == 201
    assert not [one for one in caplog.records if one.exc_info]


@pytest.mark.parametrize("number", [*NO_SPACE, *NO_DESCRIPTOR, *FAILED, errno.ENODEV, errno.EINVAL])
def test_no_error_of_the_operating_system_is_our_own_mistake(number: int) -> None:
    error = OSError(number, "because", "/data/t-0/x.log")
    told = http_error(error)
    assert told.status in (503, 507)
    assert told.details["path"] == "/data/t-0/x.log"
    assert kafka_error(error) == KAFKA_STORAGE_ERROR


Breakage = Callable[[Path], None]


def remove_partition(data: Path) -> None:
    shutil.rmtree(data / "t-0")


def rename_partition(data: Path) -> None:
    (data / "t-0").rename(data / "elsewhere")


def remove_everything(data: Path) -> None:
    shutil.rmtree(data)


@pytest.mark.parametrize("breakage", [remove_partition, rename_partition, remove_everything])
def test_a_directory_that_is_taken_away_under_a_running_broker(
    start_broker: Callable[..., BrokerProcess], breakage: Breakage
) -> None:
    broker = start_broker()
    record = {"records": [{"value": 1}]}
    with broker.client() as http:
        for name in ("t", "other"):
            http.post("/v1/topics", json={"name": name}).raise_for_status()
            http.post(f"/v1/topics/{name}/records", json=record).raise_for_status()
        breakage(broker.data_dir)
        answer = http.get("/health/ready")
        assert (answer.status_code, answer.json()["status"]) == (503, "failing")
        broken = [one for one in answer.json()["broken"] if one["topic"] == "t"]
        assert [one["partition"] for one in broken] == [0]
        assert str(broker.data_dir / "t-0") in broken[0]["reason"]
        assert http.get("/health/live").status_code == 200
        answer = http.post("/v1/topics/t/records", json=record)
        assert (answer.status_code, code(answer)) == (503, "writes_stopped")
        others = http.post("/v1/topics/other/records", json=record)
        assert others.status_code == (503 if breakage is remove_everything else 200)
        created = http.post("/v1/topics", json={"name": "new"})
        assert created.status_code == (503 if breakage is remove_everything else 201)
        wire = Wire(broker.kafka)
        fields = {"topics": [{"name": "t"}], "allow_auto_topic_creation": False}
        assert wire.ask("metadata", 9, **fields)["topics"][0]["error_code"] == 0
        wire.close()
    broker.process.terminate()
    broker.process.wait(60)
    assert "Traceback" not in broker.stderr


def test_records_that_nobody_would_see_again_are_not_acknowledged(
    start_broker: Callable[..., BrokerProcess],
) -> None:
    """Nobody has asked for health: the flush finds that its file has no name."""
    broker = start_broker()
    with broker.client() as http:
        http.post("/v1/topics", json={"name": "t"}).raise_for_status()
        remove_partition(broker.data_dir)
        answer = http.post("/v1/topics/t/records", json={"records": [{"value": 1}]})
        assert (answer.status_code, code(answer)) == (503, "writes_stopped")
        assert http.get("/health/ready").status_code == 503


@pytest.fixture
def few_files(start_broker: Callable[..., BrokerProcess]) -> BrokerProcess:
    """A broker that may open a few files more than it has open now."""
    broker = start_broker("--set", "log.segment.bytes=1048576")
    with broker.client() as http:
        http.post("/v1/topics", json={"name": "t"}).raise_for_status()
        http.post("/v1/topics/t/records", json={"records": [{"value": 1}]}).raise_for_status()
        http.get("/health/ready").raise_for_status()
    limit = len(os.listdir(f"/proc/{broker.process.pid}/fd")) + 30
    resource.prlimit(broker.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
    return broker


@pytest.mark.parametrize("door", ["url", "kafka"])
def test_more_connections_than_files_may_be_open(few_files: BrokerProcess, door: str) -> None:
    """Who comes too late is turned away; who is there goes on, as far as it needs no file."""
    broker = few_files
    host, port = getattr(broker, door).removeprefix("http://").split(":")
    large = {"records": [{"value": LARGE}]}
    with broker.client() as http, ExitStack() as connections:
        http.get("/health/live").raise_for_status()
        turned_away = 0
        while turned_away < 20:
            connection = connections.enter_context(socket.create_connection((host, int(port))))
            connection.setblocking(False)
            http.get("/health/live").raise_for_status()
            turned_away += is_closed(connection)
        answers = [http.post("/v1/topics/t/records", json=large) for _ in range(3)]
        assert answers[0].status_code == 200
        assert [code(one) for one in answers[1:]] == ["too_many_open_files"] * 2
        created = http.post("/v1/topics", json={"name": "new"})
        assert (created.status_code, code(created)) == (503, "too_many_open_files")
        before = cpu_ticks(broker)
        http.get("/v1/topics/t/partitions/0/records?offset=latest&wait_ms=1000").raise_for_status()
        assert cpu_ticks(broker) - before < os.sysconf("SC_CLK_TCK") / 2
        connections.close()
        until_closed(broker)
        for _ in range(3):
            http.post("/v1/topics/t/records", json=large).raise_for_status()
        http.post("/v1/topics", json={"name": "new"}).raise_for_status()
        answer = http.get("/health/ready")
        assert (answer.status_code, answer.json()["broken"]) == (200, [])
    Wire(broker.kafka).close()
    broker.stop()
    assert "Traceback" not in broker.stderr


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def cpu_ticks(broker: BrokerProcess) -> int:
    status = Path(f"/proc/{broker.process.pid}/stat").read_text().rpartition(")")[2].split()
    return int(status[11]) + int(status[12])


def until_closed(broker: BrokerProcess) -> None:
    """Return when the broker has noticed that the connections are gone."""
    descriptors = f"/proc/{broker.process.pid}/fd"
    limit = resource.prlimit(broker.process.pid, resource.RLIMIT_NOFILE)[0]
    while len(os.listdir(descriptors)) > limit - 25:
        pass


async def test_records_without_a_key_go_where_they_can(tmp_path: Path, disk: RefusingDisk) -> None:
    config = load_config({"data_dir": str(tmp_path / "data")}, {})
    broker = await Broker.open(config.data_dir, config.broker, Environment(disk=disk))
    await broker.create_topic("t", 3)
    await broker.close()
    with disk.refusing("sizes", "*/t-1", errno.EIO):
        broker = await Broker.open(config.data_dir, config.broker, Environment(disk=disk))
    context = RestContext(broker, Coordinator(broker), config)
    transport = httpx.ASGITransport(RestDoor(context))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        for value in range(12):
            record = {"records": [{"value": value}]}
            (await http.post("/v1/topics/t/records", json=record)).raise_for_status()
        named = {"records": [{"value": 1, "partition": 1}]}
        for answer in (
            await http.post("/v1/topics/t/records", json=named),
            await http.get("/v1/topics/t/partitions/1/records"),
            await http.get("/v1/topics/t/records"),
            await http.get("/v1/topics/t/offsets"),
            await http.delete("/v1/topics/t/partitions/1/records?before_offset=0"),
        ):
            assert (answer.status_code, code(answer)) == (503, "partition_offline")
            assert answer.json()["error"]["details"]["partition"] == 1
        shown = (await http.get("/v1/topics/t")).json()
        assert [one["offline"] for one in shown["partitions"]] == [False, True, False]
        assert sum(one["end_offset"] for one in shown["partitions"]) == 12
        site = Site(broker, context.coordinator, http)
        described = await site.kafka("metadata", 9, topics=[{"name": "t"}])
        [topic] = described["topics"]
        told = {
            one["partition_index"]: (one["error_code"], one["leader_id"], one["offline_replicas"])
            for one in topic["partitions"]
        }
        assert told == {0: (0, 1, []), 1: (5, -1, [1]), 2: (0, 1, [])}
        offset = {"partition_index": 1, "timestamp": -1}
        asked = [{"name": "t", "partitions": [offset]}]
        listed = await site.kafka("list_offsets", 5, replica_id=-1, topics=asked)
        assert listed["topics"][0]["partitions"][0]["error_code"] == KAFKA_STORAGE_ERROR
    await broker.close()


async def test_groups_whose_records_cannot_be_read_are_told(
    tmp_path: Path, disk: RefusingDisk
) -> None:
    config = load_config({"data_dir": str(tmp_path / "data")}, {})
    broker = await Broker.open(config.data_dir, config.broker, Environment(disk=disk))
    await broker.create_topic("__consumer_offsets", 1, internal=True)
    await broker.create_topic("t", 1)
    await broker.close()
    with disk.refusing("sizes", "*/__consumer_offsets-0", errno.EIO):
        broker = await Broker.open(config.data_dir, config.broker, Environment(disk=disk))
    coordinator = Coordinator(broker)
    await coordinator.start()
    await coordinator.loaded()
    transport = httpx.ASGITransport(RestDoor(RestContext(broker, coordinator, config)))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        site = Site(broker, coordinator, http)
        status, told = await site.ready()
        assert (status, told["status"]) == (503, "failing")
        [broken] = told["broken"]
        assert (broken["topic"], broken["partition"]) == ("__consumer_offsets", 0)
        assert (await site.produce("served")).status_code == 200
        offsets = {"offsets": [{"topic": "t", "partition": 0, "offset": 1}]}
        for answer in (
            await http.put("/v1/groups/g/offsets", json=offsets),
            await http.get("/v1/groups/g/offsets"),
            await http.get("/v1/groups/g"),
            await http.post("/v1/groups/g/members", json={"topics": ["t"]}),
        ):
            assert (answer.status_code, code(answer)) == (503, "coordinator_unavailable")
        wire_offsets = await site.kafka("offset_fetch", 7, group_id="g", topics=None)
        assert wire_offsets["error_code"] == 15
    await coordinator.close()
    await broker.close()
