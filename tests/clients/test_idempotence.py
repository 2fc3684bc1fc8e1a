"""Idempotent producers whose connections are cut: nothing lost, nothing twice, in order.

kcat cannot be asked: it gives up when the connection to its only broker goes, with any broker.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.support.broker_process import BrokerProcess
from tests.support.kafka_clients.contract import Message, ProducerOptions
from tests.support.kafka_clients.every import WITH_SESSIONS, OpenClients
from tests.support.kafka_proxy import KafkaProxy

RECORDS = 4000


class Proxied(NamedTuple):
    broker: BrokerProcess
    proxy: KafkaProxy
    clients: OpenClients


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """A broker that is only reached through a proxy, which it tells its clients."""
    proxy = KafkaProxy()
    data_dir = tmp_path_factory.mktemp("proxied") / "data"
    broker = BrokerProcess(data_dir, "--advertised", proxy.address)
    proxy.forward_to(broker.kafka)
    clients = OpenClients(proxy.address)
    yield Proxied(broker, proxy, clients)
    clients.close()
    broker.end()
    proxy.close()


@pytest.mark.parametrize("name", WITH_SESSIONS)
def test_nothing_is_lost_or_repeated_when_connections_are_cut(proxied: Proxied, name: str) -> None:
    client = proxied.clients[name]
    with proxied.broker.client() as http:
        http.post("/v1/topics", json={"name": name, "partitions": 1}).raise_for_status()
        proxied.proxy.plan(1, 2, 4, 7)
        sent = [b"%06d" % number + bytes(994).replace(b"\0", b".") for number in range(RECORDS)]
        client.produce(name, [Message(value) for value in sent], ProducerOptions(idempotent=True))
        assert proxied.proxy.cuts >= 2
        path = f"/v1/topics/{name}/partitions/0/records"
        query: dict[str, str | int] = {
            "value": "text",
            "max_records": 10_000,
            "max_bytes": 64 * 1024 * 1024,
        }
        records = http.get(path, params=query).json()["records"]
    assert [record["value_text"].encode() for record in records] == sent
