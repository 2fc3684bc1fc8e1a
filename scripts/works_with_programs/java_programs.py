"""Apache Kafka's own programs, and those that others built on its Java client."""

from __future__ import annotations

import os

from installing import jars
from program import COUNT, SOURCES, Failed, Program, Site, finish
from round_trips import PROCESSOR, processor

KAFKA_VERSION, SPRING_VERSION, FLINK_VERSION = "4.3.1", "4.0.0", "2.2.0"
_APACHE = "org.apache.kafka"
_NEEDS = ("java", "javac", "mvn")
_JAVA = ("java", "-Xmx512m", "-cp")


def _console(site: Site) -> str:
    path = jars(site.cache, "tools", f"{_APACHE}:kafka-tools:{KAFKA_VERSION}")
    tools, address = "org.apache.kafka.tools", ["--bootstrap-server", site.bootstrap]
    lines = [f"value {n}" for n in range(COUNT)]
    finish(
        [*_JAVA, path, f"{tools}.ConsoleProducer", *address, "--topic", site.source],
        input="\n".join(lines) + "\n",
    )
    limits = ["--from-beginning", "--max-messages", str(COUNT), "--group", site.group]
    command = [*_JAVA, path, f"{tools}.consumer.ConsoleConsumer", *address]
    read = finish([*command, "--topic", site.source, *limits]).splitlines()
    if sorted(read) != sorted(lines):
        raise Failed(f"{len(read)} records came back, or others than were written")
    groups = f"{tools}.consumer.group.ConsumerGroupCommand"
    shown = finish([*_JAVA, path, groups, *address, "--describe", "--group", site.group])
    if site.source not in shown:
        raise Failed("kafka-consumer-groups does not show the group")
    return KAFKA_VERSION


def _connect(site: Site) -> str:
    artifacts = (
        f"{_APACHE}:{name}:{KAFKA_VERSION}" for name in ("connect-runtime", "connect-file")
    )
    path = jars(site.cache, "connect", *artifacts)
    taken, given = site.directory / "taken", site.directory / "given"
    taken.write_text("".join(f"VALUE {n}\n" for n in range(COUNT)))
    text = "org.apache.kafka.connect.storage.StringConverter"
    worker = {
        "bootstrap.servers": site.bootstrap,
        "key.converter": text,
        "value.converter": text,
        "offset.storage.file.filename": site.directory / "offsets",
        "listeners": "HTTP://127.0.0.1:0",
    }
    file = "org.apache.kafka.connect.file.FileStream"
    source = {"name": "source", "connector.class": f"{file}SourceConnector", "file": taken}
    sink = {"name": "sink", "connector.class": f"{file}SinkConnector", "file": given}
    settings = (
        ("worker", worker),
        ("source", {**source, "topic": site.target}),
        ("sink", {**sink, "topics": site.target}),
    )
    files = []
    for name, lines in settings:
        files.append(site.directory / f"{name}.properties")
        files[-1].write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    standalone = "org.apache.kafka.connect.cli.ConnectStandalone"
    processor(site, [*_JAVA, path, standalone, *map(str, files)], arguments=False)
    return KAFKA_VERSION


def _java(name: str, source: str, version: str, *artifacts: str) -> Program:
    def run(site: Site) -> str:
        path = jars(site.cache, source.removesuffix(".java"), *artifacts)
        classes = str(site.directory / "classes")
        finish(["javac", "-cp", path, "-d", classes, str(SOURCES / source)])
        environment = {**os.environ, "DIRECTORY": str(site.directory)}
        processor(site, [*_JAVA, f"{classes}:{path}", "Capitals"], env=environment)
        return version

    return Program(name, PROCESSOR, run, _NEEDS)


JAVA = (
    Program(
        "Apache Kafka's console programs (Java)",
        "produce, consume in a group, describe the group",
        _console,
        _NEEDS,
    ),
    _java(
        "Kafka Streams (Java)",
        "KafkaStreams.java",
        KAFKA_VERSION,
        f"{_APACHE}:kafka-streams:{KAFKA_VERSION}",
    ),
    Program(
        "Kafka Connect, standalone (Java)", "a file to a topic, a topic to a file", _connect, _NEEDS
    ),
    _java(
        "Spring for Apache Kafka (Java)",
        "SpringKafka.java",
        SPRING_VERSION,
        f"org.springframework.kafka:spring-kafka:{SPRING_VERSION}",
    ),
    _java(
        "Apache Flink (Java)",
        "Flink.java",
        FLINK_VERSION,
        f"org.apache.flink:flink-streaming-java:{FLINK_VERSION}",
        f"org.apache.flink:flink-clients:{FLINK_VERSION}",
        f"org.apache.flink:flink-connector-base:{FLINK_VERSION}",
        "org.apache.flink:flink-connector-kafka:5.0.0-2.2",
    ),
)
