"""The command behind ``scripts/conformance``."""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import time
from pathlib import Path

from apache_kafka_suite import APACHE_KAFKA
from arroyo_suite import ARROYO
from broker_process import HOST, broker
from built_on_sarama_suites import GOKA_SYSTEM, WATERMILL_KAFKA
from franz_go_suite import FRANZ_GO
from kafka_python_suite import KAFKA_PYTHON
from kombu_suite import KOMBU
from librdkafka_suite import LIBRDKAFKA
from report import outdated, tell, unexplained
from sarama_suite import SARAMA
from suite import Run, Suite

SUITES = {
    suite.name: suite
    for suite in (
        *(KAFKA_PYTHON, KOMBU, ARROYO, *LIBRDKAFKA),
        *(FRANZ_GO, SARAMA, WATERMILL_KAFKA, GOKA_SYSTEM, APACHE_KAFKA),
    )
}


def main() -> int:
    """Run the suites; 0 when everything is as expected."""
    parser = argparse.ArgumentParser(prog="scripts/conformance", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="suite", help=f"of {', '.join(SUITES)}")
    parser.add_argument("--bootstrap", metavar="HOST:PORT", help="a broker that is running")
    parser.add_argument("-j", "--jobs", type=int, default=2, help="tests at a time (default 2)")
    arguments = parser.parse_args()
    unknown = set(arguments.suites) - set(SUITES)
    if unknown:
        parser.error(f"no suite {', '.join(sorted(unknown))}; there are {', '.join(SUITES)}")
    chosen = [SUITES[name] for name in arguments.suites or SUITES]
    wrong = [suite for suite in chosen if not _as_expected(suite, arguments)]
    return 1 if wrong else 0


def _as_expected(suite: Suite, arguments: argparse.Namespace) -> bool:
    """Run one suite and tell; another broker need not fail where ours may."""
    lacking = suite.missing()
    if lacking:
        print(f"{suite.name}: the suite is skipped: {lacking}")
        return True
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tidelog-conformance"
    logs = cache / "logs" / suite.name
    logs.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        if arguments.bootstrap:
            host, _, given = arguments.bootstrap.rpartition(":")
            port = listening = int(given)
        else:
            started_broker = broker(suite.settings, logs / "broker.log", proxied=suite.proxied)
            host, (port, listening) = HOST, stack.enter_context(started_broker)
        started = time.monotonic()
        try:
            results = suite.run(Run(host, port, listening, cache, logs, arguments.jobs))
        except subprocess.CalledProcessError as error:
            print(f"{suite.name}: {error}; see {cache}")
            return False
    tell(suite, results, time.monotonic() - started, logs)
    if arguments.bootstrap:
        return not unexplained(suite, results)
    for name in outdated(suite, results):
        print(f"  outdated   {name}: it no longer fails")
    return not unexplained(suite, results) and not outdated(suite, results)


if __name__ == "__main__":
    raise SystemExit(main())
