"""The tests of two libraries that are built on sarama, from their Go modules, as they are.

``watermill-kafka`` is the conformance suite of a publish-subscribe library; ``goka`` has tests of
a library for stream processing, whose tables are compacted topics, with connections that break.
"""

from __future__ import annotations

from go_tests import missing, module, run_go
from suite import Run, Suite, TestResult

WATERMILL = "github.com/ThreeDotsLabs/watermill-kafka/v3@v3.0.6"
GOKA = "github.com/lovoo/goka@v1.1.14"


def run_watermill(run: Run) -> list[TestResult]:
    """All of its tests."""
    environment = {"WATERMILL_TEST_KAFKA_BROKERS": f"{run.host}:{run.port}"}
    return run_go(run, module(WATERMILL), ["./pkg/kafka"], environment)


def run_goka(run: Run) -> list[TestResult]:
    """Those of its tests that take a broker."""
    environment = {"GOKA_SYSTEMTEST": "1", "GOKA_SYSTEMTEST_BROKERS": f"{run.host}:{run.port}"}
    return run_go(run, module(GOKA), ["./systemtest"], environment)


WATERMILL_KAFKA = Suite(
    name="watermill-kafka", source=WATERMILL, run=run_watermill, missing=missing
)
GOKA_SYSTEM = Suite(
    name="goka",
    source=GOKA,
    run=run_goka,
    missing=missing,
    explained={"TestTopicManager_v11": "asks for settings in a version that Kafka 4 took away"},
)
