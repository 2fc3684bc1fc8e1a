"""Settings of a broker process: flags, then ``TIDELOG_*`` variables, then ``tidelog.toml``.

Any broker setting can be given by its Kafka name: ``--set num.partitions=4``,
``TIDELOG_NUM_PARTITIONS=4``, or ``"num.partitions" = 4`` in the file. The file's other names are
those of the flags: ``data_dir``, ``http``, ``kafka``, ``advertised``, ``log_level``.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tidelog.broker.broker_settings import BROKER_SETTINGS, BrokerSettings

CONFIG_FILE = "tidelog.toml"
ENVIRONMENT_PREFIX = "TIDELOG_"
LOG_LEVELS = ("debug", "info", "warning", "error")
OFF = "off"


class ConfigError(Exception):
    """A setting that cannot be used; the text says which, where it is from and what to do."""


class Option(NamedTuple):
    """A setting of the process beside the broker's own."""

    name: str
    default: str
    documentation: str


OPTIONS = {
    option.name: option
    for option in (
        Option("data_dir", "./tidelog-data", "Where topics are kept."),
        Option("http", "127.0.0.1:8082", "Address of the HTTP API; port 0 picks a free one."),
        Option("kafka", "127.0.0.1:9092", "Address of the Kafka protocol; off for none."),
        Option("advertised", "", "Address Kafka clients are told; empty: the one they used."),
        Option("log_level", "info", f"One of {', '.join(LOG_LEVELS)}."),
    )
}


class Address(NamedTuple):
    """A host and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that ``serve`` needs; ``sources`` says where each option came from."""

    data_dir: str
    http: Address
    kafka: Address | None
    advertised: Address | None
    log_level: str
    broker: BrokerSettings
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def http_host(self) -> str:
        return self.http.host


class ShownSetting(NamedTuple):
    """A line of ``--show-settings``."""

    name: str
    value: str
    source: str
    documentation: str


def load_config(
    flags: Mapping[str, str], environment: Mapping[str, str], directory: Path = Path()
) -> Config:
    """Merge what was given. ``flags`` has options by name and broker settings by Kafka name.

    Raises ConfigError.
    """
    texts: dict[str, str] = {}
    sources: dict[str, str] = {}
    for source, given in (
        (CONFIG_FILE, _from_file(directory / CONFIG_FILE)),
        ("environment", _from_environment(environment)),
        ("flag", flags),
    ):
        for name, text in given.items():
            _check_name(name, source)
            texts[name] = text
            sources[name] = source
    broker = {name: text for name, text in texts.items() if name in BROKER_SETTINGS}
    for name in broker:
        if BROKER_SETTINGS[name].read_only:
            raise ConfigError(f"{name} cannot be set")
    option = {name: texts.get(name, OPTIONS[name].default) for name in OPTIONS}
    if option["log_level"] not in LOG_LEVELS:
        raise ConfigError(f"log_level must be one of {', '.join(LOG_LEVELS)}")
    return Config(
        data_dir=option["data_dir"],
        http=parse_address(option["http"], "http"),
        kafka=None if option["kafka"] == OFF else parse_address(option["kafka"], "kafka"),
        advertised=parse_address(option["advertised"], "advertised")
        if option["advertised"]
        else None,
        log_level=option["log_level"],
        broker=BrokerSettings(broker, sources),
        sources=sources,
    )


def parse_address(text: str, name: str) -> Address:
    """``HOST:PORT``, ``[IPv6]:PORT``. Raises ConfigError."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65_535:
        raise ConfigError(f"{name}: {text!r} is not HOST:PORT")
    return Address(host.strip("[]"), int(port))


def environment_name(name: str) -> str:
    """The variable for an option or broker setting."""
    return ENVIRONMENT_PREFIX + name.replace(".", "_").upper()


_OTHER_VARIABLES = frozenset((ENVIRONMENT_PREFIX + "SERVER", ENVIRONMENT_PREFIX + "KAFKA_TOOL"))


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    names = {environment_name(name): name for name in (*OPTIONS, *BROKER_SETTINGS)}
    found = {}
    for variable, text in environment.items():
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable in _OTHER_VARIABLES:
            continue
        if variable not in names:
            near = difflib.get_close_matches(variable, names, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"{variable} is not the name of a setting{hint}")
        found[names[variable]] = text
    return found


def _from_file(path: Path) -> dict[str, str]:
    try:
        content = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    found = {}
    for name, value in content.items():
        if isinstance(value, dict):
            raise ConfigError(f'{path}: write dotted names in quotes: "{name}.…" = …')
        if isinstance(value, list):
            found[name] = ",".join(map(str, value))
        elif isinstance(value, bool):
            found[name] = str(value).lower()
        else:
            found[name] = str(value)
    return found


def _check_name(name: str, source: str) -> None:
    if name not in OPTIONS and name not in BROKER_SETTINGS:
        near = difflib.get_close_matches(name, (*OPTIONS, *BROKER_SETTINGS), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"{name} ({source}) is not the name of a setting{hint}")


def shown_settings(config: Config) -> list[ShownSetting]:
    """Every setting with its value and where that is from."""
    values = {
        "data_dir": config.data_dir,
        "http": str(config.http),
        "kafka": OFF if config.kafka is None else str(config.kafka),
        "advertised": "" if config.advertised is None else str(config.advertised),
        "log_level": config.log_level,
    }
    shown = [
        ShownSetting(name, value, config.sources.get(name, "default"), OPTIONS[name].documentation)
        for name, value in values.items()
    ]
    for setting in config.broker.describe():
        documentation = setting.setting.documentation
        shown.append(ShownSetting(setting.name, setting.value or "", setting.source, documentation))
    return shown
