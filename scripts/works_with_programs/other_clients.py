"""Clients in C, Go, Rust and JavaScript."""

from __future__ import annotations

import os
import re

from installing import go_program, node_modules, rust_program
from program import COUNT, SOURCES, Program, Site, finish
from round_trips import CLIENT, client


def _kcat(site: Site) -> str:
    # Its groups run on: the records are read once by an address of their own and once in a group.
    address = ["kcat", "-q", "-b", site.bootstrap]
    lines = "".join(f"key {n}:value {n}\n" for n in range(COUNT))
    finish([*address, "-P", "-t", site.source, "-K", ":", "-z", "lz4"], input=lines)
    read = finish([*address, "-C", "-t", site.source, "-o", "beginning", "-e", "-K", ":"])
    settings = ["-X", "auto.offset.reset=earliest", "-X", "enable.partition.eof=true"]
    grouped = finish([*address, *settings, "-e", "-G", site.group, site.source])
    assert read == lines, "what kcat read is not what it wrote"
    assert len(grouped.splitlines()) == COUNT, "the group did not read everything"
    told = finish(["kcat", "-V"])
    found = re.search(r"Version (\S+) .*librdkafka (\S+)", told, re.DOTALL)
    return f"{found[1]} (librdkafka {found[2]})" if found else ""


def _go(name: str, source: str, module: str) -> Program:
    def run(site: Site) -> str:
        program, version = go_program(site.cache, source, module)
        client(site, [str(program)])
        return version

    return Program(f"{name} (Go)", CLIENT, run, ("go",))


def _node(package: str, source: str) -> Program:
    def run(site: Site) -> str:
        modules, version = node_modules(site.cache, package)
        environment = {**os.environ, "NODE_PATH": str(modules)}
        client(site, ["node", str(SOURCES / source)], env=environment)
        return version

    return Program(f"{package} (JavaScript)", CLIENT, run, ("node", "npm"))


def _rust(site: Site) -> str:
    program, version = rust_program(site.cache, "rdkafka", "rdkafka")
    client(site, [str(program)])
    return version


OTHERS = (
    Program("kcat (C, librdkafka)", "produce, consume, consume in a group", _kcat, ("kcat",)),
    _go("franz-go", "franz_go", "github.com/twmb/franz-go"),
    _go("sarama", "sarama", "github.com/IBM/sarama"),
    _go("kafka-go", "kafka_go", "github.com/segmentio/kafka-go"),
    _go(
        "confluent-kafka-go", "confluent_kafka_go", "github.com/confluentinc/confluent-kafka-go/v2"
    ),
    Program("rdkafka (Rust)", CLIENT, _rust, ("cargo", "make", "cc")),
    _node("kafkajs", "kafkajs_client.js"),
    _node("@platformatic/kafka", "platformatic_client.js"),
)
