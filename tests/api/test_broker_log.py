"""What a line of the broker's log looks like, which are written, and where they go."""

from __future__ import annotations

import ast
import json
import logging
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import tidelog.api
from tidelog.api.broker_log import BrokerLog, CannotLog, JsonLines, TextLines
from tidelog.broker.errors import InvalidSetting
from tidelog.broker.log_levels import AREAS, LogLevels, parse_log_levels
from tidelog.broker.settings.broker_settings import BrokerSettings

ROOMS = ("api", "broker", "consumer_groups", "storage")
TEXT = re.compile(r"(\S+) (DEBUG|INFO|WARNING|ERROR) (\S+): (.*)", re.DOTALL)


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """Logging as it was before, afterwards."""
    root = logging.getLogger()
    ours = [root, *(logging.getLogger(f"tidelog.{area}") for area in AREAS)]
    before = list(root.handlers), [one.level for one in ours], logging.raiseExceptions
    yield root
    for handler in root.handlers:
        if isinstance(handler, BrokerLog):
            handler.close()
    root.handlers, levels, logging.raiseExceptions = before
    for one, level in zip(ours, levels, strict=True):
        one.setLevel(level)


def settings(**given: str) -> BrokerSettings:
    return BrokerSettings({f"log.{name}": value for name, value in given.items()})


def record(
    message: str, *values: object, area: str = "groups", **extra: object
) -> logging.LogRecord:
    log = logging.getLogger(f"tidelog.{area}")
    return log.makeRecord(log.name, logging.INFO, "", 0, message, values, None, extra=extra)


def failed() -> logging.LogRecord:
    try:
        raise ValueError("no number")
    except ValueError as error:
        log = logging.getLogger("tidelog.http")
        trace = type(error), error, error.__traceback__
        return log.makeRecord(log.name, logging.ERROR, "", 0, "a request failed", (), trace)


@pytest.mark.parametrize(
    ("message", "values", "shown"),
    [
        ("group %s has %d members", ("orders", 2), "group orders has 2 members"),
        ("group %s", ("a\nERROR http: forged",), r"group a\nERROR http: forged"),
        ("group %s", ("\x1b[31mred\x00\x85\u2028",), r"group \x1b[31mred\x00\x85\u2028"),
        ("group %s", ("grüße, 世界",), "group grüße, 世界"),
    ],
)
def test_an_event_is_one_line_whatever_it_tells_of(
    message: str, values: tuple[object, ...], shown: str
) -> None:
    line = TextLines().format(record(message, *values))
    found = TEXT.fullmatch(line)
    assert found is not None
    assert found.groups()[1:] == ("INFO", "groups", shown)
    fields = json.loads(JsonLines().format(record(message, *values)))
    assert fields["message"] == message % values
    assert "\n" not in JsonLines().format(record(message, *values))


def test_times_have_a_zone() -> None:
    event = record("now")
    event.created = 1_700_000_000.0789
    local = TextLines().format(event).split()[0]
    utc = json.loads(JsonLines().format(event))["time"]
    assert utc == "2023-11-14T22:13:20.078Z"
    parsed = datetime.fromisoformat(local)
    assert parsed.utcoffset() is not None
    assert parsed - datetime.fromisoformat(utc) == timedelta(0)


def test_json_has_what_an_event_was_told_with() -> None:
    fields = json.loads(JsonLines().format(record("made", topic="orders", partitions=3)))
    assert list(fields) == ["time", "level", "area", "message", "topic", "partitions"]
    assert (fields["level"], fields["area"], fields["partitions"]) == ("info", "groups", 3)


def test_a_traceback_follows() -> None:
    line, *trace = TextLines().format(failed()).splitlines()
    assert line.endswith("ERROR http: a request failed")
    assert trace[-1] == "ValueError: no number"
    assert json.loads(JsonLines().format(failed()))["traceback"].splitlines() == trace


@pytest.mark.parametrize(
    ("text", "default", "areas"),
    [
        ("info", "info", {}),
        ("WARNING", "warning", {}),
        ("info,groups=debug", "info", {"groups": "debug"}),
        ("http=error, kafka = debug ,warning", "warning", {"http": "error", "kafka": "debug"}),
        ("groups=debug", "info", {"groups": "debug"}),
    ],
)
def test_levels(text: str, default: str, areas: dict[str, str]) -> None:
    assert settings(level=text).log_levels == LogLevels(default, areas)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("loud", "must be one of debug, info, warning, error"),
        ("groups=loud", "must be one of debug"),
        ("", "must be one of debug"),
        ("group=debug", "did you mean groups?"),
        ("=debug", "is not one of the areas broker, "),
        ("info,debug", "the level of all areas is given twice"),
        ("http=info,http=debug", "http is given twice"),
    ],
)
def test_what_is_no_level(text: str, said: str) -> None:
    with pytest.raises(InvalidSetting, match=re.escape(said)):
        settings(level=text)


def test_every_logger_is_of_an_area() -> None:
    """Else its level could not be chosen; and there is no area without one."""
    assert tidelog.api.__file__ is not None
    top = Path(tidelog.api.__file__).parent.parent
    found = set()
    for path in (file for room in ROOMS for file in (top / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "logging.getLogger":
                named = [one.value for one in node.args if isinstance(one, ast.Constant)]
                found |= set(named)
    assert found == {f"tidelog.{area}" for area in AREAS}
    assert parse_log_levels([f"{area}=debug" for area in AREAS]).areas.keys() == set(AREAS)


def test_a_file_that_was_put_away(root: logging.Logger, tmp_path: Path) -> None:
    file = tmp_path / "broker.log"
    log = BrokerLog(settings(file=str(file), level="error,topics=info"))
    topics, groups = logging.getLogger("tidelog.topics"), logging.getLogger("tidelog.groups")
    topics.info("first")
    groups.info("not told")
    file.rename(tmp_path / "old.log")
    topics.info("second")
    log.reopen()
    topics.info("third")
    log.reopen()
    topics.info("fourth")
    assert lines(tmp_path / "old.log") == ["first", "second"]
    assert lines(file) == ["third", "fourth"]


def lines(file: Path) -> list[str]:
    return [line.rpartition(": ")[2] for line in file.read_text().splitlines()]


def test_a_file_that_cannot_be_opened_again(root: logging.Logger, tmp_path: Path) -> None:
    """The log stays where it is, and says so."""
    directory = tmp_path / "logs"
    directory.mkdir()
    file = directory / "broker.log"
    log = BrokerLog(settings(file=str(file)))
    directory.rename(tmp_path / "away")
    log.reopen()
    logging.getLogger("tidelog.topics").info("later")
    told = (tmp_path / "away" / "broker.log").read_text().splitlines()
    assert len(told) == 2
    assert f"cannot write the log to {file}: No such file or directory" in told[0]
    with pytest.raises(CannotLog, match="No such file"):
        BrokerLog(settings(file=str(file)))


def test_a_log_that_nobody_takes_raises_nothing(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    log = BrokerLog(settings(file="/dev/full"))
    logging.getLogger("tidelog.topics").error("lost")
    log.reopen()
    logging.getLogger("tidelog.topics").error("lost too")
    log.close()
    logging.getLogger("tidelog.topics").error("nobody is there")
    assert capsys.readouterr().err == ""


def test_another_format_and_other_levels(root: logging.Logger, tmp_path: Path) -> None:
    file = tmp_path / "broker.log"
    log = BrokerLog(settings(file=str(file), format="json"))
    logging.getLogger("tidelog.http").debug("not told")
    logging.getLogger("asyncio").warning("not ours")
    log.use(settings(format="text", level="warning,http=debug"))
    logging.getLogger("tidelog.http").debug("told")
    logging.getLogger("tidelog.kafka").info("not told")
    first, second = file.read_text().splitlines()
    assert json.loads(first)["area"] == "asyncio"
    assert TEXT.fullmatch(second) is not None
