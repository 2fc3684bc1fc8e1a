"""franz-go's tests of its client, from the Go module.

Records flow through chains of groups, with members that come and go, by each way of assignment and
by both group protocols, in the newest versions of every message. A tenth of the records that it
takes by default is enough for that.
"""

from __future__ import annotations

from go_tests import missing, module, run_go
from suite import Run, Suite, TestResult

MODULE = "github.com/twmb/franz-go@v1.22.3"


def run(run: Run) -> list[TestResult]:
    """All but the one test of transactions, which floods its log when they are refused."""
    environment = {
        "KGO_SEEDS": f"{run.host}:{run.port}",
        "KGO_TEST_RF": "1",
        "KGO_TEST_RECORDS": "50000",
        "KGO_LOG_LEVEL": "none",
    }
    return run_go(run, module(MODULE), ["-skip=TestTxnEtl", "./pkg/kgo"], environment)


FRANZ_GO = Suite(name="franz-go", source=MODULE, run=run, missing=missing)
