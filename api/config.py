"""Settings of a broker process: flags, then ``TIDELOG_*`` variables, then ``tidelog.toml``.

Any broker setting can be given by its Kafka name: ``--set num.partitions=4``,
``TIDELOG_NUM_PARTITIONS=4``, or ``"num.partitions" = 4`` in the file. The file's other names are
those of the flags: ``data_dir``, ``http``, ``kafka`` and ``advertised``; ``log_level`` is our
``log.level``.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tidelog.api.address import (
    Address,
    Addresses,
    InvalidAddress,
    parse_address,
    parse_addresses,
    parse_advertised,
)
from tidelog.api.service_variables import is_service_variable
from tidelog.api.units import in_plain_numbers
from tidelog.broker.settings.broker_settings import BROKER_SETTINGS, BrokerSettings

CONFIG_FILE = "tidelog.toml"
ENVIRONMENT_PREFIX = "TIDELOG_"
OFF = "off"
_PATH_MAX_BYTES = 4096


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
        Option("http", "127.0.0.1:8082", "Addresses of the HTTP API; port 0 picks a free one."),
        Option("kafka", "127.0.0.1:9092", "Addresses of the Kafka protocol; off for none."),
        Option(
            "advertised",
            "",
            "What Kafka clients are told, one address or one for each of kafka's; empty: the one "
            "they used.",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that ``serve`` needs; ``sources`` says where each option came from.

    ``service_variables`` are named like ours, but set by Kubernetes.
    """

    data_dir: str
    http: Addresses
    kafka: Addresses
    """None where it is off."""
    advertised: Addresses
    """What clients of each Kafka address are told, or of all of them; none: what they used."""
    broker: BrokerSettings
    sources: Mapping[str, str] = field(default_factory=dict)
    service_variables: tuple[str, ...] = ()

    def differences(self, other: Config) -> list[str]:
        """Names of the options that the other has differently."""
        return [name for name in OPTIONS if getattr(self, name) != getattr(other, name)]


class ShownSetting(NamedTuple):
    """A line of ``--show-settings``."""

    name: str
    value: str
    source: str
    documentation: str


_INSTEAD = {
    "advertised.listeners": "--advertised HOST:PORT",
    "listeners": "--kafka HOST:PORT",
    "log.dirs": "--data-dir DIR",
    "broker.id": "--set node.id=NUMBER",
}
"""What is to be given in place of some of Kafka's settings."""
_UNDERSCORED = {name.replace(".", "_"): name for name in ("log.level", "log.format", "log.file")}
"""These are named as the options are, too."""


def load_config(
    flags: Mapping[str, str],
    environment: Mapping[str, str],
    directory: Path = Path(),
    *,
    file: str | None = None,
) -> Config:
    """Merge what was given. ``flags`` has options by name and broker settings by Kafka name.

    ``file`` is read instead of ``tidelog.toml`` in the directory, and must be there.
    Raises ConfigError.
    """
    texts: dict[str, str] = {}
    sources: dict[str, str] = {}
    variables = {k: v for k, v in environment.items() if k.startswith(ENVIRONMENT_PREFIX)}
    of_services = [name for name, text in variables.items() if is_service_variable(name, text)]
    for source, given in (
        (file or CONFIG_FILE, _from_file(directory, file)),
        ("environment", _from_environment(variables, of_services)),
        ("flag", flags),
    ):
        for name, text in given.items():
            name = _UNDERSCORED.get(name, name)
            _check_name(name, source)
            texts[name] = text
            sources[name] = source
    broker = {
        name: in_plain_numbers(BROKER_SETTINGS[name], text)
        for name, text in texts.items()
        if name in BROKER_SETTINGS
    }
    for name in broker:
        if BROKER_SETTINGS[name].read_only:
            instead = _INSTEAD.get(name)
            hint = f"; {instead} says it" if instead else ""
            raise ConfigError(f"{name} cannot be set{hint}")
    option = {name: texts.get(name, OPTIONS[name].default) for name in OPTIONS}
    kafka = () if option["kafka"] == OFF else _addresses("kafka", option["kafka"])
    told = option["advertised"]
    advertised = _addresses("advertised", told, parse_advertised) if told else ()
    if len(advertised) > 1 and len(advertised) != len(kafka):
        raise ConfigError(
            f"advertised: give one address, or one for each of kafka's; {len(advertised)} do not "
            f"go with {len(kafka)}"
        )
    return Config(
        data_dir=_directory(option["data_dir"], "data_dir"),
        http=_addresses("http", option["http"]),
        kafka=kafka,
        advertised=advertised,
        broker=BrokerSettings(broker, sources),
        sources=sources,
        service_variables=tuple(sorted(of_services)),
    )


def _addresses(name: str, text: str, parse: Callable[[str], Address] = parse_address) -> Addresses:
    try:
        return parse_addresses(text, parse)
    except InvalidAddress as error:
        raise ConfigError(f"{name}: {error}") from error


def _directory(text: str, name: str) -> str:
    """A path whose ``~`` is a home directory, for the shell leaves ``--data-dir=~/x`` alone."""
    if not text or "\0" in text:
        raise ConfigError(f"{name}: {text!r} is not the path of a directory")
    path = os.path.expanduser(text)
    if len(os.fsencode(path)) >= _PATH_MAX_BYTES:
        raise ConfigError(f"{name}: a path of {len(path)} characters is too long")
    if path.startswith("~"):
        raise ConfigError(f"{name}: no user has the home {text}; a directory here is ./{text}")
    return path


def environment_name(name: str) -> str:
    """The variable for an option or broker setting."""
    return ENVIRONMENT_PREFIX + name.replace(".", "_").upper()


_OTHER_VARIABLES = frozenset(
    ENVIRONMENT_PREFIX + name for name in ("SERVER", "TOKEN", "CA_FILE", "PROFILE", "KAFKA_TOOL")
)


def _from_environment(variables: Mapping[str, str], of_services: Collection[str]) -> dict[str, str]:
    """Settings by name; a variable that is empty is as good as not set."""
    names = {environment_name(name): name for name in (*OPTIONS, *BROKER_SETTINGS)}
    found = {}
    for variable, text in variables.items():
        if variable in names:
            if text.strip():
                found[names[variable]] = text
        elif variable not in _OTHER_VARIABLES and variable not in of_services:
            near = difflib.get_close_matches(variable, names, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"{variable} is not the name of a setting{hint}")
    return found


def _from_file(directory: Path, file: str | None) -> dict[str, str]:
    path = directory / (CONFIG_FILE if file is None else file)
    try:
        content = tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        if file is None:
            return {}
        raise ConfigError(f"{path} is not there; --config names a file of settings") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} cannot be read: it is not UTF-8") from error
    except RecursionError as error:
        raise ConfigError(f"{path} cannot be read: it is nested too deeply") from error
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    return {name: _file_text(path, name, value) for name, value in content.items()}


_LISTS = ("http", "kafka", "advertised")


def _file_text(path: Path, name: str, value: object) -> str:
    """A value of the file as a flag would give it."""
    if isinstance(value, dict):
        raise ConfigError(f'{path}: write dotted names in quotes: "{name}.…" = …')
    if isinstance(value, list) and name in _LISTS and all(isinstance(one, str) for one in value):
        return ",".join(value)
    if name in OPTIONS and not isinstance(value, str):
        raise ConfigError(f'{path}: {name} must be text in quotes: {name} = "…"')
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list) and all(isinstance(one, str | int | float) for one in value):
        return ",".join(map(str, value))
    if isinstance(value, str | int | float):
        return str(value)
    raise ConfigError(f"{path}: {name} must be text, a number, true or false, or a list of texts")


def _check_name(name: str, source: str) -> None:
    if name not in OPTIONS and name not in BROKER_SETTINGS:
        near = difflib.get_close_matches(name, (*OPTIONS, *BROKER_SETTINGS), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"{name} ({source}) is not the name of a setting{hint}")


def _text(addresses: Addresses) -> str:
    return ",".join(map(str, addresses))


def shown_settings(config: Config) -> list[ShownSetting]:
    """Every setting with its value and where that is from."""
    values = {
        "data_dir": config.data_dir,
        "http": _text(config.http),
        "kafka": _text(config.kafka) or OFF,
        "advertised": _text(config.advertised),
    }
    shown = [
        ShownSetting(name, value, config.sources.get(name, "default"), OPTIONS[name].documentation)
        for name, value in values.items()
    ]
    for setting in config.broker.describe():
        documentation = setting.setting.documentation
        shown.append(ShownSetting(setting.name, setting.value or "", setting.source, documentation))
    return shown
