"""sarama's functional tests, from the Go module, with Toxiproxy between client and broker.

They break connections and want to see what was sent arrive once. They look for the proxies of five
brokers on fixed ports; a copy of them takes the ports that are free. All five lead to the one
broker, which tells its clients the first. Left out are tests that start and stop brokers or read
their logs with Docker, and those of transactions, each of which waits long before it fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from broker_process import HOST, free_ports
from go_tests import missing, module_copy, run_go
from suite import Run, Suite, TestResult

MODULE = "github.com/IBM/sarama@v1.61.1"
TOXIPROXY = "github.com/Shopify/toxiproxy/v2/cmd/server@v2.12.0"
KAFKA_VERSION = "4.3.1"
LEFT_OUT = "Txn|Transactions|InitProducerId3|ListConsumerGroupOffsets$|IdempotentBufferedSequence"
START_SECONDS = 10
_ADDRESS = 'fmt.Sprintf("127.0.0.1:%d", 29090+i)'
_BROKERS = "needs several brokers"


def run(run: Run) -> list[TestResult]:
    """The tests of the functional files; the others of the package need no broker."""
    source = module_copy(MODULE, run.logs / "tests")
    files = [path.read_text() for path in source.glob("functional_*_test.go")]
    names = [name for text in files for name in re.findall(r"^func (Test\w+)\(t ", text, re.M)]
    setting_up = source / "functional_test.go"
    text = setting_up.read_text()
    assert _ADDRESS in text, f"{MODULE} no longer says where its brokers are as it did"
    setting_up.write_text(text.replace(_ADDRESS, "proxy.ListenAddr"))
    arguments = ["-tags=functional", f"-run=^({'|'.join(names)})$", f"-skip={LEFT_OUT}", "."]
    with _toxiproxy(run) as url:
        environment = {"TOXIPROXY_ADDR": url, "KAFKA_VERSION": KAFKA_VERSION}
        return run_go(run, source, arguments, environment)


@contextlib.contextmanager
def _toxiproxy(run: Run) -> Iterator[str]:
    """Five proxies of the broker; the first has the port that it tells, unless it is in use."""
    control, first, *others = free_ports(6)
    if run.port != run.listening:
        first = run.port
    proxies = [
        {
            "name": f"kafka{number}",
            "listen": f"{HOST}:{port}",
            "upstream": f"{run.host}:{run.listening}",
            "enabled": True,
        }
        for number, port in enumerate((first, *others), start=1)
    ]
    configuration = run.logs / "toxiproxy.json"
    configuration.write_text(json.dumps(proxies))
    command = [str(_built(run.cache)), "-host", HOST, "-port", str(control)]
    with (run.logs / "toxiproxy.log").open("wb") as log:
        process = subprocess.Popen([*command, "-config", str(configuration)], stdout=log)
    try:
        _wait_for(control)
        yield f"http://{HOST}:{control}"
    finally:
        process.terminate()
        process.wait()


def _built(cache: Path) -> Path:
    """The proxy's program."""
    directory = cache / f"toxiproxy-{TOXIPROXY.rpartition('@')[2]}"
    environment = {**os.environ, "GOBIN": str(directory)}
    subprocess.run(["go", "install", TOXIPROXY], env=environment, check=True)
    return directory / "server"


def _wait_for(port: int) -> None:
    """Return when something listens there. Raises OSError when nothing does for long."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection((HOST, port)).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


SARAMA = Suite(
    name="sarama",
    source=MODULE,
    run=run,
    settings=("auto.create.topics.enable=false",),
    missing=missing,
    proxied=True,
    explained={
        "TestConsumerFetchFollowerFailover": _BROKERS,
        "TestFuncAdminAlterPartitionReassignments": _BROKERS,
        "TestFuncAdminDescribeLogDirs": _BROKERS,
        "TestFuncAdminIncrementalAlterConfigs": "settings of the broker are fixed while it runs",
        "TestFuncAdminQuotas": "needs quotas",
        "TestFuncAdminUpdateFeatures": "needs features that a broker has levels of",
    },
)
