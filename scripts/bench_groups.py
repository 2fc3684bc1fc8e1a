"""`scripts/bench groups`: many classic members in one group, and durable offset commits.

Members speak the protocol over raw connections of one asyncio loop, because a thousand real clients
do not fit a small machine; they join in two steps, send heartbeats, rejoin when told to, and the
leader assigns, as clients do. Stable: every member has had its assignment in one generation and
every partition one owner. Most of it is waiting: with the defaults of broker and clients the
first member learns of the others by its next heartbeat, which is 3 s after its last.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench_brokers import ApacheKafka, MeasuredBroker, Tidelog, Unavailable

from tidelog.consumer_groups.classic.consumer_protocol import (
    Subscription,
    decode_assignment,
    encode_assignment,
    encode_subscription,
)
from tidelog.consumer_groups.records.encoding import (
    Reader,
    array,
    bytes_field,
    int16,
    int32,
    int64,
    nullable_string,
    string,
)

TOPIC, GROUP = "bench", "bench"
OFFSET_COMMIT, FIND_COORDINATOR, JOIN_GROUP, HEARTBEAT, SYNC_GROUP = 8, 10, 11, 12, 14
CREATE_TOPICS = 19
UNKNOWN_MEMBER_ID, MEMBER_ID_REQUIRED = 25, 79
COORDINATOR_LOADING, NOT_COORDINATOR = 14, 16
SESSION_MS, REBALANCE_MS = 45_000, 300_000
CONNECTING_AT_ONCE = 100


class Connection:
    """Requests one after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._correlation_id = 0

    @classmethod
    async def to(cls, address: str) -> Connection:
        host, _, port = address.rpartition(":")
        return cls(*await asyncio.open_connection(host, int(port), limit=2**24))

    async def ask(self, key: int, version: int, body: bytes) -> Reader:
        """The response's body; responses that nobody waits for any more are passed over."""
        self._correlation_id += 1
        head = int16(key) + int16(version) + int32(self._correlation_id) + nullable_string("bench")
        self._writer.write(int32(len(head) + len(body)) + head + body)
        while True:
            size = int.from_bytes(await self._reader.readexactly(4), "big")
            reply = Reader(await self._reader.readexactly(size))
            if reply.int32() == self._correlation_id:
                return reply

    def close(self) -> None:
        self._writer.close()


class Member:
    """A classic consumer; ``changed`` is called whenever it has got an assignment."""

    def __init__(self, changed: Callable[[], None], heartbeat_s: float) -> None:
        self.id = ""
        self.generation = -1
        self.partitions: tuple[tuple[str, int], ...] = ()
        self._changed = changed
        self._heartbeat_s = heartbeat_s
        self.connection: Connection

    async def live(self) -> None:
        while True:
            assignments = await self._join()
            if await self._sync(assignments):
                self._changed()
                while not await self._must_rejoin():
                    pass

    async def _join(self) -> list[bytes]:
        """The assignments of all, for the one who leads."""
        while True:
            protocol = string("range") + bytes_field(encode_subscription(Subscription((TOPIC,))))
            reply = await self.connection.ask(
                JOIN_GROUP,
                5,
                string(GROUP)
                + int32(SESSION_MS)
                + int32(REBALANCE_MS)
                + string(self.id)
                + nullable_string(None)
                + string("consumer")
                + array([protocol]),
            )
            reply.int32()
            error, self.generation = reply.int16(), reply.int32()
            reply.string()
            leader, self.id = reply.string(), reply.string()
            if error == UNKNOWN_MEMBER_ID:
                self.id = ""
            elif error == 0:
                return _assign(_member_ids(reply)) if leader == self.id else []
            elif error not in (MEMBER_ID_REQUIRED, COORDINATOR_LOADING, NOT_COORDINATOR):
                raise RuntimeError(f"JoinGroup was answered by error {error}")

    async def _sync(self, assignments: list[bytes]) -> bool:
        body = self._identity() + array(assignments)
        reply = await self.connection.ask(SYNC_GROUP, 3, body)
        reply.int32()
        if reply.int16():
            return False
        self.partitions = decode_assignment(reply.bytes_field())
        return True

    async def _must_rejoin(self) -> bool:
        await asyncio.sleep(self._heartbeat_s)
        reply = await self.connection.ask(HEARTBEAT, 3, self._identity())
        reply.int32()
        return reply.int16() != 0

    async def commit(self, offset: int) -> None:
        """Commit for its own partition."""
        topic, partition = self.partitions[0]
        entry = int32(partition) + int64(offset) + int32(-1) + nullable_string("")
        body = self._identity() + array([string(topic) + array([entry])])
        reply = await self.connection.ask(OFFSET_COMMIT, 7, body)
        reply.int32()
        reply.int32()
        reply.string()
        reply.int32()
        reply.int32()
        if error := reply.int16():
            raise RuntimeError(f"OffsetCommit was answered by error {error}")

    def _identity(self) -> bytes:
        return string(GROUP) + int32(self.generation) + string(self.id) + nullable_string(None)


def _member_ids(reply: Reader) -> list[str]:
    def member() -> str:
        member_id = reply.string()
        reply.nullable_string()
        reply.bytes_field()
        return member_id

    return reply.array(member)


def _assign(member_ids: list[str]) -> list[bytes]:
    """A share for each member: as many partitions as members, one each."""
    return [
        string(member_id) + bytes_field(encode_assignment([(TOPIC, partition)]))
        for partition, member_id in enumerate(member_ids)
    ]


class Bench:
    def __init__(self, address: str, members: int, heartbeat_s: float) -> None:
        self._address = address
        self._stable = asyncio.Event()
        self.members = [Member(self._changed, heartbeat_s) for _ in range(members)]

    def _changed(self) -> None:
        generations = {member.generation for member in self.members}
        owned = [place for member in self.members for place in member.partitions]
        if len(generations) == 1 and len(owned) == len(set(owned)) == len(self.members):
            self._stable.set()

    async def run(self, seconds: float) -> tuple[float, float]:
        """Seconds until the group is stable, and commits per second after that."""
        await self._create_topic()
        limit = asyncio.Semaphore(CONNECTING_AT_ONCE)
        begin = time.monotonic()
        lives = [asyncio.ensure_future(self._live(member, limit)) for member in self.members]
        await _first(self._stable.wait(), lives)
        stable_s = time.monotonic() - begin
        await _cancel(lives)
        begin, count = time.monotonic(), [0]
        commits = [asyncio.ensure_future(_commit(member, count)) for member in self.members]
        await _first(asyncio.sleep(seconds), commits)
        rate = count[0] / (time.monotonic() - begin)
        await _cancel(commits)
        for member in self.members:
            member.connection.close()
        return stable_s, rate

    async def _create_topic(self) -> None:
        connection = await Connection.to(self._address)
        topic = string(TOPIC) + int32(len(self.members)) + int16(1) + array([]) + array([])
        reply = await connection.ask(CREATE_TOPICS, 2, array([topic]) + int32(60_000) + b"\0")
        reply.int32()
        reply.int32()
        reply.string()
        if error := reply.int16():
            raise RuntimeError(f"CreateTopics was answered by error {error}")
        # Apache Kafka makes its offsets topic when somebody first asks for a coordinator.
        while (await connection.ask(FIND_COORDINATOR, 0, string(GROUP))).int16():
            pass
        connection.close()

    async def _live(self, member: Member, limit: asyncio.Semaphore) -> None:
        async with limit:
            member.connection = await Connection.to(self._address)
        await member.live()


async def _commit(member: Member, count: list[int]) -> None:
    offset = 0
    while True:
        await member.commit(offset)
        offset += 1
        count[0] += 1


async def _first(what: Awaitable[object], others: list[asyncio.Task[None]]) -> None:
    """Wait for it, or for the first of the others, which do not end unless they fail."""
    waited = asyncio.ensure_future(what)
    done, _ = await asyncio.wait([waited, *others], return_when=asyncio.FIRST_COMPLETED)
    for one in done:
        one.result()


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench groups", description=__doc__)
    parser.add_argument("--members", type=int, default=1000, help="and partitions")
    parser.add_argument("--heartbeat-ms", type=int, default=3000, help="as clients default to")
    parser.add_argument("--seconds", type=float, default=5, help="of committing")
    parser.add_argument("--brokers", default="tidelog", help="tidelog,kafka or one of them")
    given = parser.parse_args()
    kinds: dict[str, Callable[[Path], MeasuredBroker]] = {"tidelog": Tidelog, "kafka": ApacheKafka}
    with tempfile.TemporaryDirectory(prefix="tidelog-bench-") as directory:
        for name in given.brokers.split(","):
            try:
                broker = kinds[name](Path(directory))
            except Unavailable as reason:
                print(f"without {name}: {reason}", file=sys.stderr)
                continue
            try:
                bench = Bench(broker.kafka, given.members, given.heartbeat_ms / 1000)
                before_s = broker.cpu_seconds()
                stable_s, rate = asyncio.run(bench.run(given.seconds))
                cpu_s = broker.cpu_seconds() - before_s
            finally:
                broker.stop()
            print(f"{broker.name}: {given.members} members stable after {stable_s:.2f} s")
            print(f"{broker.name}: {rate:,.0f} durable offset commits/s ({cpu_s:.1f} s of CPU)")


if __name__ == "__main__":
    main()
