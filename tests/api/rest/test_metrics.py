"""``/metrics``: what it counts, and that those who read it find what they look for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from confluent_kafka import Consumer
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from tests.support.broker_process import BrokerProcess
from tests.support.http_member import HttpMember
from tests.support.kafka_wire import Wire
from tests.support.prometheus import complaints, prometheus
from tidelog.api.rest.administration.metrics import groups as group_metrics
from tidelog.consumer_groups.records.offsets import PartitionLag

DOCS = Path(__file__).parents[3] / "docs"
BOARD = DOCS / "service" / "dashboard.json"


class Page(NamedTuple):
    """The samples of a page, by name and labels."""

    samples: dict[tuple[str, frozenset[tuple[str, str]]], float]

    @classmethod
    def of(cls, http: httpx.Client) -> Page:
        page = http.get("/metrics")
        assert page.headers["content-type"].startswith("text/plain")
        families = text_string_to_metric_families(page.text)
        return cls(
            {
                (sample.name, frozenset(sample.labels.items())): sample.value
                for family in families
                for sample in family.samples
            }
        )

    def value(self, name: str, **labels: str) -> float:
        return self.samples[name, frozenset(labels.items())]

    def names(self) -> set[str]:
        return {name for name, _ in self.samples}

    def labels(self, name: str, label: str) -> set[str]:
        return {dict(labels)[label] for found, labels in self.samples if found == name}


def produce(http: httpx.Client, topic: str, count: int = 10, **record: Any) -> None:
    body = {"records": [{"value": n, **record} for n in range(count)]}
    http.post(f"/v1/topics/{topic}/records", json=body).raise_for_status()


def commit(http: httpx.Client, group: str, topic: str, offset: int) -> None:
    offsets = {"offsets": [{"topic": topic, "partition": 0, "offset": offset}]}
    http.put(f"/v1/groups/{group}/offsets", json=offsets).raise_for_status()


class TestLogs:
    def test_what_a_partition_holds(self, http: httpx.Client, single: str) -> None:
        produce(http, single)
        before = "/v1/topics/{}/partitions/0/records?before_offset=3"
        http.delete(before.format(single)).raise_for_status()
        page = Page.of(http)
        place = {"topic": single, "partition": "0"}
        assert page.value("kafka_topic_partitions", topic=single) == 1
        assert page.value("kafka_topic_partition_current_offset", **place) == 10
        assert page.value("kafka_topic_partition_oldest_offset", **place) == 3
        assert page.value("kafka_log_log_logendoffset", **place) == 10
        assert page.value("kafka_log_log_logstartoffset", **place) == 3
        assert page.value("kafka_log_log_size", **place) > 0
        assert page.value("kafka_topic_partition_leader", **place) == 1
        assert page.value("kafka_topic_partition_in_sync_replica", **place) == 1
        assert page.value("kafka_topic_partition_under_replicated_partition", **place) == 0
        assert page.value("tidelog_log_flushed_offset", **place) == 10
        assert page.value("tidelog_log_writes_stopped", **place) == 0

    def test_traffic(self, http: httpx.Client, single: str) -> None:
        produce(http, single)
        http.get(f"/v1/topics/{single}/partitions/0/records").raise_for_status()
        page = Page.of(http)
        name = "kafka_server_brokertopicmetrics"
        assert page.value(f"{name}_messagesin_total", topic=single) == 10
        assert page.value(f"{name}_bytesin_total", topic=single) > 0
        assert page.value(f"{name}_bytesout_total", topic=single) > 0
        assert page.value(f"{name}_totalproducerequests_total", topic=single) == 1
        assert page.value(f"{name}_failedproducerequests_total", topic=single) == 0
        assert page.value(f"{name}_totalfetchrequests_total", topic=single) >= 1

    def test_an_append_that_was_refused(self, http: httpx.Client, single: str) -> None:
        settings = {"settings": {"message.timestamp.before.max.ms": "1000"}}
        http.patch(f"/v1/topics/{single}", json=settings).raise_for_status()
        body = {"records": [{"value": 1, "timestamp": 1}]}
        assert http.post(f"/v1/topics/{single}/records", json=body).status_code == 422
        page = Page.of(http)
        name = "kafka_server_brokertopicmetrics"
        assert page.value(f"{name}_totalproducerequests_total", topic=single) == 1
        assert page.value(f"{name}_failedproducerequests_total", topic=single) == 1


class TestGroups:
    def test_both_names_of_the_label(self, http: httpx.Client, single: str) -> None:
        produce(http, single)
        group = f"{single}-group"
        commit(http, group, single, 4)
        page = Page.of(http)
        labels = {"consumergroup": group, "group": group, "topic": single}
        assert page.value("kafka_consumergroup_lag_sum", **labels) == 6
        assert page.value("kafka_consumergroup_current_offset_sum", **labels) == 4
        assert page.value("kafka_consumergroup_lag", **labels, partition="0") == 6
        assert page.value("kafka_consumergroup_current_offset", **labels, partition="0") == 4
        assert page.value("kafka_consumergroup_lag_seconds", **labels, partition="0") >= 0
        assert page.value("kafka_consumergroup_members", consumergroup=group, group=group) == 0

    def test_the_lines_are_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(group_metrics, "PARTITIONS_MAX", 5)
        groups = [
            group_metrics.GroupState(
                name, 1, [PartitionLag("t", n, 0, 1, 1, 0.5) for n in range(3)]
            )
            for name in ("a", "b", "c")
        ]
        page = "".join(group_metrics.group_families(groups))
        families = {one.name: one.samples for one in text_string_to_metric_families(page)}
        assert len(families["kafka_consumergroup_lag"]) == 5
        assert len(families["kafka_consumergroup_lag_seconds"]) == 5
        assert [one.value for one in families["kafka_consumergroup_lag_sum"]] == [3, 3, 3]
        [omitted] = families["tidelog_consumergroup_partitions_omitted"]
        assert omitted.value == 4

    @given(st.text(st.characters(exclude_categories=("Cs",))))
    def test_any_name_comes_through(self, name: str) -> None:
        state = group_metrics.GroupState(name, 3, [])
        page = "".join(group_metrics.group_families([state]))
        [members] = [
            family
            for family in text_string_to_metric_families(page)
            if family.name == "kafka_consumergroup_members"
        ]
        [sample] = members.samples
        assert sample.labels == {"consumergroup": name, "group": name}


class TestRequests:
    """On a broker of their own: the numbers are exact."""

    @pytest.fixture
    def broker(self, start_broker: Callable[..., BrokerProcess]) -> BrokerProcess:
        return start_broker()

    def test_http_by_route_and_status(self, broker: BrokerProcess) -> None:
        with broker.client() as http:
            http.post("/v1/topics", json={"name": "t", "partitions": 1}).raise_for_status()
            produce(http, "t")
            for topic in ("t", "t", "none", "no/ne"):
                http.get(f"/v1/topics/{topic}")
                http.get(f"/v1/topics/{topic}/partitions/0/records")
            http.head("/v1/topics/t")
            page = Page.of(http)
        expected = {
            ("POST /v1/topics", "201"): 1,
            ("POST /v1/topics/{topic}/records", "200"): 1,
            ("GET /v1/topics/{topic}", "200"): 2,
            ("GET /v1/topics/{topic}", "404"): 1,
            ("HEAD /v1/topics/{topic}", "200"): 1,
            ("GET /v1/topics/{topic}/partitions/{partition}/records", "200"): 2,
            ("GET /v1/topics/{topic}/partitions/{partition}/records", "404"): 1,
            ("unmatched", "404"): 2,
        }
        for (api, status), count in expected.items():
            assert page.value("tidelog_http_responses_total", api=api, status=status) == count
        assert page.labels("tidelog_http_responses_total", "api") == {api for api, _ in expected}

    def test_names_that_clients_make_up_are_no_labels(self, broker: BrokerProcess) -> None:
        with broker.client() as http:
            for n in range(50):
                http.get(f"/made/up/{n}")
                http.get(f"/v1/made-up-{n}/x/y/z")
                http.request("PUT", f"/v1/topics/{n}/partitions/x/records")
            page = Page.of(http)
        known = {"unmatched", "PUT /v1/topics/{topic}/partitions/{partition}/records"}
        assert page.labels("tidelog_request_seconds_count", "api") == known

    def test_kafka_by_api_and_error(self, broker: BrokerProcess) -> None:
        settings = {"bootstrap.servers": broker.kafka, "group.id": "g"}
        with broker.client() as http:
            http.post("/v1/topics", json={"name": "t", "partitions": 1}).raise_for_status()
            produce(http, "t")
            consumer = Consumer({**settings, "auto.offset.reset": "earliest"})
            consumer.subscribe(["t"])
            while consumer.poll(1) is None:
                pass
            consumer.close()
            page = Page.of(http)
        requests = page.labels("kafka_network_requestmetrics_requests_total", "request")
        assert {"ApiVersions", "Metadata", "JoinGroup", "Fetch", "OffsetFetch"} <= requests
        for request in requests:
            counted = page.value("kafka_network_requestmetrics_requests_total", request=request)
            timed = page.value("tidelog_request_seconds_count", door="kafka", api=request)
            assert counted == timed > 0
        # A new member is told its id first, by an error.
        errors = "kafka_network_requestmetrics_errors_total"
        assert page.value(errors, request="JoinGroup", error="MEMBER_ID_REQUIRED") == 1

    def test_times(self, broker: BrokerProcess) -> None:
        with broker.client() as http:
            http.post("/v1/topics", json={"name": "t", "partitions": 1}).raise_for_status()
            for _ in range(20):
                produce(http, "t", 1)
            http.get("/v1/topics/t/partitions/0/records?offset=20&wait_ms=300").raise_for_status()
            page = Page.of(http)
        route = {"door": "http", "api": "POST /v1/topics/{topic}/records"}
        assert page.value("tidelog_request_seconds_bucket", **route, le="+Inf") == 20
        assert page.value("tidelog_request_seconds_count", **route) == 20
        sum_s = page.value("tidelog_request_seconds_sum", **route)
        flushes = page.value("tidelog_flush_seconds_count")
        assert 20 <= flushes == page.value("kafka_log_flush_total")
        assert 0 < page.value("tidelog_flush_seconds_sum") <= sum_s * 2
        # A long poll waits in it.
        route["api"] = "GET /v1/topics/{topic}/partitions/{partition}/records"
        assert page.value("tidelog_request_seconds_bucket", **route, le="0.25") == 0
        assert page.value("tidelog_request_seconds_sum", **route) >= 0.29

    def test_connections(self, broker: BrokerProcess) -> None:
        with broker.client() as http, broker.client() as other:
            for client in (http, other):
                client.get("/health/live")
            page = Page.of(http)
            assert page.value("tidelog_connections", door="http") == 2
            assert page.value("tidelog_connections", door="kafka") == 0
            with closing(Wire(broker.kafka)) as first, closing(Wire(broker.kafka)) as second:
                for wire in (first, second):
                    wire.ask("metadata", 1, topics=None)
                page = Page.of(http)
            assert page.value("tidelog_connections", door="kafka") == 2
            name = "kafka_server_socket_server_metrics_connection_count"
            assert page.value(name, listener="PLAINTEXT") == 2

    def test_without_a_door_for_kafka(self, start_broker: Callable[..., BrokerProcess]) -> None:
        broker = start_broker("--no-kafka")
        with broker.client() as http:
            page = Page.of(http)
        assert page.labels("tidelog_connections", "door") == {"http"}


def test_the_process_and_the_disk(broker: BrokerProcess, http: httpx.Client) -> None:
    page = Page.of(http)
    assert page.value("process_open_fds") > 5
    assert page.value("process_cpu_seconds_total") > 0
    resident = page.value("process_resident_memory_bytes")
    assert resident == pytest.approx(broker.memory_bytes, rel=0.5)
    assert page.value("tidelog_uptime_seconds") > 0
    free, size = (page.value(f"tidelog_disk_{what}_bytes") for what in ("free", "size"))
    assert 0 < free < size
    facts = http.get("/v1/broker").json()
    assert page.labels("tidelog_build_info", "version") == {facts["version"]}
    assert page.value("kafka_broker_info", id=str(facts["node_id"]), address=facts["kafka"]) == 1


class TestReaders:
    @pytest.fixture
    def described(self, http: httpx.Client, broker: BrokerProcess, topic: str) -> str:
        """A broker that has seen everything that is told of; the topic has a group."""
        produce(http, topic, partition=0)
        commit(http, f"{topic}-group", topic, 4)
        HttpMember(http, f"{topic}-members", topic).poll()
        assert http.get("/v1/topics/none").status_code == 404
        with closing(Wire(broker.kafka)) as wire:
            wire.ask("metadata", 1, topics=[{"name": "no such name"}])
        return topic

    def test_promtool_has_nothing_to_say(
        self, http: httpx.Client, broker: BrokerProcess, described: str
    ) -> None:
        consumer = Consumer({"bootstrap.servers": broker.kafka, "group.id": "g"})
        consumer.list_topics()
        consumer.close()
        assert complaints(http.get("/metrics").text) == ""

    def test_prometheus_finds_what_dashboards_ask_for(
        self, http: httpx.Client, broker: BrokerProcess, described: str
    ) -> None:
        topic = described
        with prometheus(broker.url.removeprefix("http://")) as server:
            for expression in (*DASHBOARDS, *expressions_of(BOARD)):
                assert server.wait_for(expression.replace("$topic", topic))
            [target] = server.targets()
            assert (target["health"], target["lastError"]) == ("up", "")
            [behind] = server.ask(f'kafka_consumergroup_lag{{consumergroup="{topic}-group"}}')
            assert behind["value"][1] == "6"

    def test_every_metric_is_documented(self, http: httpx.Client, described: str) -> None:
        """And everything documented is there."""
        documented = set(
            re.findall(r"^\| `(\w+)`", (DOCS / "metrics.md").read_text(), re.MULTILINE)
        )
        families = text_string_to_metric_families(http.get("/metrics").text)
        found = {
            family.name + ("_total" if family.type == "counter" else "") for family in families
        }
        assert found == documented


def expressions_of(board: Path) -> list[str]:
    """What our own board asks, with everything chosen."""
    panels = json.loads(board.read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    assert len(asked) > 30
    return [
        re.sub(r"\$(instance|group)", ".*", one).replace("$__rate_interval", "1m") for one in asked
    ]


def test_the_panels_of_our_board_lie_side_by_side() -> None:
    board = json.loads(BOARD.read_text())
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    covered = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in panels
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(covered) == len(set(covered))
    assert max(x for x, _ in covered) < 24
    known = {one["name"] for one in board["templating"]["list"]} | {"__rate_interval"}
    assert set(re.findall(r"\$\{?(\w+)", BOARD.read_text())) <= known | {"__all"}


DASHBOARDS = (
    # What kafka_exporter's own board shows ("Kafka Exporter Overview", grafana.com 7589).
    'sum by (topic) (rate(kafka_topic_partition_current_offset{topic!="__consumer_offsets"}[1m]))',
    "sum by (consumergroup, topic) (kafka_consumergroup_lag)",
    'sum by (topic) (kafka_topic_partitions{topic!="__consumer_offsets"})',
    # And Strimzi's, which was made of it.
    'count(kafka_topic_partitions{topic=~"$topic"})',
    'sum(kafka_topic_partition_replicas{topic=~"$topic"})',
    'sum(kafka_topic_partition_in_sync_replica{topic=~"$topic"})',
    'sum(kafka_topic_partition_under_replicated_partition{topic=~"$topic"})',
    'sum(kafka_cluster_partition_atminisr{topic=~"$topic"})',
    'sum(kafka_cluster_partition_underminisr{topic=~"$topic"})',
    'sum(kafka_topic_partition_leader_is_preferred{topic=~"$topic"} < bool 1)',
    'sum by (topic) (rate(kafka_topic_partition_current_offset{topic=~"$topic"}[1m]))',
    "sum by (consumergroup, topic) "
    '(delta(kafka_consumergroup_current_offset{consumergroup=~".+",topic=~"$topic"}[1m]) / 60)',
    'sum by (consumergroup, topic) (kafka_consumergroup_lag{consumergroup=~".+",topic=~"$topic"})',
    "sum by (consumergroup, partition, topic) "
    '(kafka_consumergroup_current_offset{consumergroup=~".+",topic=~"$topic"})',
    'sum by (partition, topic) (kafka_topic_partition_current_offset{topic=~"$topic"})',
    'sum by (partition, topic) (kafka_topic_partition_oldest_offset{topic=~"$topic"})',
    # Alerts on a group, and those that a topic is scaled by.
    'kafka_consumergroup_lag_sum{topic="$topic"} > 1',
    'max by (group) (kafka_consumergroup_lag_seconds{topic="$topic"})',
    # Boards for the JMX exporter.
    "count(kafka_server_replicamanager_leadercount)",
    "sum(kafka_controller_kafkacontroller_activecontrollercount)",
    "sum(kafka_controller_kafkacontroller_offlinepartitionscount)",
    "sum(kafka_server_replicamanager_partitioncount)",
    "sum(kafka_server_replicamanager_underreplicatedpartitions)",
    'sum by (topic) (irate(kafka_server_brokertopicmetrics_messagesin_total{topic!=""}[5m]))',
    'sum by (topic) (irate(kafka_server_brokertopicmetrics_bytesin_total{topic!=""}[5m]))',
    'sum by (topic) (irate(kafka_server_brokertopicmetrics_bytesout_total{topic!=""}[5m]))',
    "sum(irate(kafka_server_brokertopicmetrics_totalproducerequests_total[5m]))",
    "sum(irate(kafka_server_brokertopicmetrics_failedproducerequests_total[5m]))",
    "sum(irate(kafka_server_brokertopicmetrics_totalfetchrequests_total[5m]))",
    "sum by (listener) (kafka_server_socket_server_metrics_connection_count)",
    'sum by (topic, partition) (kafka_log_log_size{topic="$topic"})',
    "sum(rate(process_cpu_seconds_total[1m]))",
    "process_resident_memory_bytes",
    "process_open_fds",
    "histogram_quantile(0.99, sum by (le, api) (rate(tidelog_request_seconds_bucket[1m])))",
    "histogram_quantile(0.99, rate(tidelog_flush_seconds_bucket[1m])) >= 0 or vector(0)",
    "histogram_quantile(0.99, rate(tidelog_loop_lag_seconds_bucket[1m]))",
    "tidelog_disk_free_bytes / tidelog_disk_size_bytes",
)
"""Written as their makers' are, with names of our own topics."""
