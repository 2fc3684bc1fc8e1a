"""Replies get lost, requests are sent again: every record is delivered, and none twice."""

from __future__ import annotations

import random
import uuid
from collections import Counter

import httpx
import pytest

from tests.support.broker_process import BrokerProcess
from tests.support.cutting_proxy import CuttingProxy, Stubborn
from tests.support.http_member import HttpMember, committed

PARTITIONS, RECORDS = 4, 400


class Crowd:
    """Members behind a proxy that loses replies, and what all of them were given."""

    def __init__(self, http: httpx.Client, topic: str, source: random.Random) -> None:
        self._http = http
        self._topic = topic
        self._source = source
        self._joined = 0
        self.group = f"group-{uuid.uuid4()}"
        self.members: list[HttpMember] = []
        self.given: Counter[int] = Counter()

    def join(self) -> None:
        self._joined += 1
        self.members.append(
            HttpMember(self._http, self.group, self._topic, key=f"member-{self._joined}")
        )

    def poll(self) -> None:
        """Somebody polls for a few records."""
        member = self._source.choice(self.members)
        records = member.poll(max_records=self._source.randint(1, 30))
        self.given.update(record["value"] for record in records)

    def leave(self) -> None:
        """Somebody commits what it was given and goes."""
        member = self.members.pop(self._source.randrange(len(self.members)))
        member.post("commit", cursor=member.cursor).raise_for_status()
        self._http.delete(member.path)

    def drain(self, expected: int) -> None:
        """Everybody polls until all is there; a hundred rounds without are too many."""
        for _ in range(100):
            for member in self.members:
                self.given.update(record["value"] for record in member.poll())
            if len(self.given) >= expected:
                return


@pytest.mark.parametrize("seed", range(3))
def test_everything_once(broker: BrokerProcess, http: httpx.Client, seed: int) -> None:
    source = random.Random(seed)
    topic = f"lost-{uuid.uuid4()}"
    http.post("/v1/topics", json={"name": topic, "partitions": PARTITIONS}).raise_for_status()
    with (
        CuttingProxy(broker.url, seed) as proxy,
        httpx.Client(base_url=proxy.url, transport=Stubborn(), timeout=60) as lossy,
    ):
        crowd = Crowd(lossy, topic, source)
        crowd.join()
        for first in range(0, RECORDS, 10):
            records = [{"value": n, "partition": n % PARTITIONS} for n in range(first, first + 10)]
            lossy.post(
                f"/v1/topics/{topic}/records",
                json={"records": records},
                headers={"Idempotency-Key": f"{topic}-{first}"},
            ).raise_for_status()
            chance = source.random()
            if chance < 0.15 and len(crowd.members) < 5:
                crowd.join()
            elif chance < 0.25 and len(crowd.members) > 1:
                crowd.leave()
            crowd.poll()
            crowd.poll()
        crowd.drain(RECORDS)
        for member in crowd.members:
            member.poll()
    assert sorted(crowd.given) == list(range(RECORDS)), f"seed {seed}"
    assert set(crowd.given.values()) == {1}, f"seed {seed}"
    assert committed(http, crowd.group) == dict.fromkeys(range(PARTITIONS), RECORDS // PARTITIONS)
    assert proxy.fates["lost"] > 10
    assert proxy.fates["torn"] > 5
