"""Clients and frameworks in Python, each in an environment of its own."""

from __future__ import annotations

import glob
import os

from installing import jars, python_environment, python_version
from program import COUNT, SOURCES, Program, Site, finish
from round_trips import CLIENT, PROCESSOR, client, processor

SPARK_VERSION = "4.2.0"
"""Its connector comes from Maven, which has to have the same one."""


def _client(distribution: str, source: str, *requirements: str) -> Program:
    def run(site: Site) -> str:
        wanted = requirements or (distribution,)
        python = python_environment(site.cache, distribution, *wanted)
        client(site, [str(python), str(SOURCES / source)])
        return python_version(python, distribution)

    return Program(f"{distribution} (Python)", CLIENT, run)


def _processor(name: str, distribution: str, source: str, *requirements: str) -> Program:
    def run(site: Site) -> str:
        python = python_environment(site.cache, distribution, *(requirements or (distribution,)))
        processor(site, [str(python), str(SOURCES / source)], cwd=site.directory)
        return python_version(python, distribution)

    return Program(f"{name} (Python)", PROCESSOR, run)


def _celery(site: Site) -> str:
    python = python_environment(site.cache, "celery", "celery", "kombu[confluentkafka]")
    results = site.directory / "results"
    environment = {
        **os.environ,
        "BOOTSTRAP": site.bootstrap,
        "TOPIC": site.source,
        "RESULTS": str(results),
    }
    source = SOURCES / "celery_worker.py"
    finish([str(python), str(source)], env=environment, cwd=source.parent)
    assert len(results.read_text().splitlines()) >= COUNT
    return python_version(python, "celery")


def _spark(site: Site) -> str:
    python = python_environment(site.cache, "pyspark", f"pyspark=={SPARK_VERSION}")
    connector = f"org.apache.spark:spark-sql-kafka-0-10_2.13:{SPARK_VERSION}"
    files = glob.glob(jars(site.cache, "spark", connector))
    environment = {**os.environ, "JARS": ",".join(files)}
    source = SOURCES / "pyspark_application.py"
    processor(site, [str(python), str(source)], cwd=site.directory, env=environment)
    return SPARK_VERSION


PYTHON = (
    _client("confluent-kafka", "confluent_kafka_client.py"),
    _client("aiokafka", "aiokafka_client.py"),
    _client("kafka-python", "kafka_python_client.py"),
    _processor("FastStream", "faststream", "faststream_application.py", "faststream[kafka]"),
    _processor("Faust", "faust-streaming", "faust_application.py"),
    _processor("Quix Streams", "quixstreams", "quix_application.py"),
    Program("Celery (Python)", "a hundred tasks through a queue and its worker", _celery),
)
SPARK = Program("Apache Spark, structured streaming (PySpark)", PROCESSOR, _spark, ("java", "mvn"))
