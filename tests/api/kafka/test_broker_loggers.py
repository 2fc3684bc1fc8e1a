"""Levels of the log by Kafka's protocol: areas of ours as loggers, and what is told afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.support.broker_process import BrokerProcess
from tests.support.kafka_wire import Wire
from tidelog.api.kafka.broker_loggers import NotForLoggers, changed_levels, logger_configs
from tidelog.broker.errors import InvalidSetting
from tidelog.broker.log_levels import AREAS, LogLevels, parse_log_levels

SET, DELETE, APPEND = 0, 1, 2
LOGGER = 8


@dataclass
class Config:
    name: str
    config_operation: int
    value: str | None


@pytest.mark.parametrize(
    ("name", "operation", "value", "text"),
    [
        ("root", SET, "WARN", "warning,groups=debug"),
        ("http", SET, "ERROR", "info,groups=debug,http=error"),
        ("http", SET, "TRACE", "info,groups=debug,http=debug"),
        ("groups", SET, "FATAL", "info,groups=error"),
        ("groups", DELETE, None, "info"),
        ("http", DELETE, None, "info,groups=debug"),
    ],
)
def test_a_change(name: str, operation: int, value: str | None, text: str) -> None:
    levels = changed_levels(
        LogLevels("info", {"groups": "debug"}), [Config(name, operation, value)]
    )
    assert levels.text == text
    assert parse_log_levels(text.split(",")) == levels


@pytest.mark.parametrize(
    ("name", "operation", "value", "error"),
    [
        ("group", SET, "INFO", InvalidSetting),
        ("groups", SET, "info", InvalidSetting),
        ("groups", SET, "OFF", InvalidSetting),
        ("groups", APPEND, "INFO", NotForLoggers),
        ("root", DELETE, None, NotForLoggers),
    ],
)
def test_no_change(name: str, operation: int, value: str | None, error: type[Exception]) -> None:
    with pytest.raises(error):
        changed_levels(LogLevels("info", {}), [Config(name, operation, value)])


def test_each_area_has_the_level_that_counts() -> None:
    shown = {
        one["name"]: one["value"] for one in logger_configs(LogLevels("info", {"http": "warning"}))
    }
    assert shown.keys() == {"root", *AREAS}
    assert (shown["root"], shown["http"], shown["groups"]) == ("INFO", "WARN", "INFO")


def test_a_broker_tells_more_at_once_and_after_a_restart(
    start_broker: Callable[..., BrokerProcess],
) -> None:
    own_broker = start_broker()
    for again in (False, True):
        if again:
            own_broker.restart()
        wire = Wire(own_broker.kafka)
        if not again:
            configs = [{"name": "http", "config_operation": SET, "value": "DEBUG"}]
            resource = {"resource_type": LOGGER, "resource_name": "1", "configs": configs}
            fields = {"resources": [resource], "validate_only": False}
            answer = wire.ask("incremental_alter_configs", 1, **fields)
            assert answer["responses"][0]["error_code"] == 0
        wire.close()
        before = own_broker.stderr.count("DEBUG http: GET /v1/topics: 200")
        with own_broker.client() as http:
            http.get("/v1/topics").raise_for_status()
        assert own_broker.stderr.count("DEBUG http: GET /v1/topics: 200") == before + 1
