"""kafka-python's integration tests, from its source distribution.

They take a broker that is already running from KAFKA_URI. The distribution lacks the package file
of its tests and the module that would start Apache Kafka: stand-ins are written beside them.
"""

from __future__ import annotations

import shutil

from pytest_suite import run_pytest
from sources import python_source, virtual_environment
from suite import Run, Suite, TestResult

PACKAGE = "kafka-python==3.0.12"
KAFKA_VERSION = "4.3.0"
REQUIREMENTS = [
    *(PACKAGE, "pytest==9.0.2", "pytest-mock", "pytest-timeout", "py"),
    *("python-snappy", "lz4", "zstandard", "crc32c"),
]
_SERVICE = '''"""Stands in for the module that starts and stops servers: this one runs elsewhere."""


class ExternalService:
    def __init__(self, host, port):
        self.host, self.port = host, port

    def dump_logs(self):
        pass

    def stop(self):
        pass


class SpawnedService:
    def __init__(self, *_):
        raise RuntimeError("starting Apache Kafka needs its shell scripts")
'''
_TRANSACTIONS = "transactions are not supported yet"
_TLS = "starts Apache Kafka by its shell scripts, for TLS"


def run(run: Run) -> list[TestResult]:
    """Copy the tests away from the library beside them, complete them, run them."""
    source = python_source(PACKAGE, run.cache)
    python = virtual_environment("kafka-python", REQUIREMENTS, run.cache)
    directory = run.logs / "tests"
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(source / "test", directory / "test")
    (directory / "test" / "__init__.py").touch()
    (directory / "test" / "service.py").write_text(_SERVICE)
    environment = {
        "KAFKA_URI": f"kafka://{run.host}:{run.port}",
        "KAFKA_VERSION": KAFKA_VERSION,
        "KAFKA_ROOT": str(directory),
    }
    return run_pytest(run, python, directory, ["test/integration"], environment)


KAFKA_PYTHON = Suite(
    name="kafka-python",
    source=PACKAGE,
    run=run,
    settings=("node.id=0", "num.partitions=4", "group.min.session.timeout.ms=1000"),
    explained={
        "test_admin_integration::test_create_describe_delete_acls": "needs access rules",
        "test_producer_integration::test_transactional_producer_messages": _TRANSACTIONS,
        "test_producer_integration::test_transactional_producer_offsets": _TRANSACTIONS,
        "TestSSLConnection::test_ssl_handshake": _TLS,
        "TestSSLConnection::test_legacy_kafka_client_ssl": _TLS,
    },
)
