"""``tidelog serve``: parsed with the standard library, because starting quickly counts here."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import stat
import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

from tidelog.api.config import CONFIG_FILE, OFF, Config, ConfigError, load_config, shown_settings

FAILED, USAGE = 1, 2


class Flag(NamedTuple):
    """One of ``serve``; without a metavar it is on or off."""

    name: str
    metavar: str | None
    help: str
    repeatable: bool = False
    kind: type[str] | type[int] = str


FLAGS = (
    Flag("--config", "FILE", "File of settings to read instead of ./tidelog.toml."),
    Flag("--data-dir", "DIR", "Where topics are kept; ./tidelog-data."),
    Flag("--http", "HOST:PORT,…", "Where HTTP is served; 127.0.0.1:8082."),
    Flag("--kafka", "HOST:PORT,…", "The same for Kafka; 127.0.0.1:9092."),
    Flag("--no-kafka", None, "Do not serve the Kafka protocol."),
    Flag(
        "--advertised",
        "HOST:PORT,…",
        "Address that Kafka clients are told, or one for each of --kafka.",
    ),
    Flag(
        "--log-level",
        "LEVEL",
        "debug, info, warning or error; of an area another: info,groups=debug.",
    ),
    Flag("--log-format", "FORMAT", "text or json."),
    Flag("--log-file", "FILE", "Where the log goes; standard error."),
    Flag(
        "--set",
        "NAME=VALUE",
        "Any broker setting by its Kafka name, as num.partitions=4; repeatable.",
        repeatable=True,
    ),
    Flag(
        "--until-eof",
        None,
        "Also stop when standard input, a pipe, is closed: with the process that started it.",
    ),
    Flag(
        "--clock-ahead",
        "MS",
        "For tests: run ahead of this machine's clock, with --until-eof; lines such as "
        '{"ahead_ms": 3600000} on standard input then move the clock.',
        kind=int,
    ),
    Flag("--show-settings", None, "Print every setting with its source and stop."),
    Flag("--json", None, "With --show-settings: as JSON."),
)


class _Unclear(Exception):
    """Help is wanted, or something is wrong: what tells that to people takes longer to load."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _Unclear(message)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Raises _Unclear."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    for flag in FLAGS:
        if flag.metavar is None:
            parser.add_argument(flag.name, action="store_true")
        elif flag.repeatable:
            parser.add_argument(flag.name, action="append", default=[])
        else:
            parser.add_argument(flag.name, type=flag.kind)
    return parser.parse_args(arguments)


def serve(arguments: Sequence[str]) -> int:
    """Run the broker; the exit status. Raises SystemExit."""
    try:
        given = _parse(arguments)
    except _Unclear:
        from tidelog.api.cli.commands import run

        return run(["serve", *arguments])
    return serve_as(given)


def serve_as(given: argparse.Namespace) -> int:
    """Run the broker; the exit status."""
    started_at = _process_start()
    # Until the broker can read its settings again, it is not to end by this.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from tidelog.broker.errors import BrokerError

    file = given.config
    if file is None and os.path.exists(CONFIG_FILE):
        # What was read once is to be there when settings are read again.
        file = CONFIG_FILE

    def load() -> Config:
        return load_config(_flags(given), os.environ, file=file)

    try:
        config = load()
    except (ConfigError, BrokerError) as error:
        print(f"tidelog: {error}", file=sys.stderr)
        return USAGE
    if given.show_settings:
        _show_settings(config, as_json=given.json)
        return 0
    if given.until_eof and not stat.S_ISFIFO(os.fstat(0).st_mode):
        print("tidelog: --until-eof needs a pipe as standard input", file=sys.stderr)
        return USAGE
    if given.clock_ahead is not None and not given.until_eof:
        print("tidelog: --clock-ahead needs --until-eof", file=sys.stderr)
        return USAGE
    return _run(given, config, load, started_at)


def _run(
    given: argparse.Namespace, config: Config, load: Callable[[], Config], started_at: float
) -> int:
    # kio registers its types with this test library wherever it is installed, which would make
    # the first request of the Kafka protocol wait for about a second.
    sys.modules.setdefault("hypothesis", None)  # type: ignore[arg-type]
    from tidelog.api.app import Process, run
    from tidelog.api.broker_log import CannotLog
    from tidelog.api.doors import CannotListen
    from tidelog.broker.errors import BrokerError
    from tidelog.storage.errors import StorageError

    try:
        run(Process(config, load, started_at, given.until_eof, given.clock_ahead))
    except (BrokerError, StorageError, CannotListen, CannotLog) as error:
        print(f"tidelog: {error}", file=sys.stderr)
        if config.broker["log.file"]:
            # Whoever looks for the reason later has only the file.
            logging.getLogger("tidelog.broker").error("%s", error)
        return FAILED
    return 0


def _flags(given: argparse.Namespace) -> dict[str, str]:
    flags = {}
    for pair in given.set:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(f"--set {pair}: expected NAME=VALUE")
        flags[name.strip()] = value.strip()
    for name in ("data_dir", "http", "kafka", "advertised", "log_level", "log_format", "log_file"):
        value = getattr(given, name)
        if value is not None:
            flags[name] = value
    if given.no_kafka:
        flags["kafka"] = OFF
    return flags


def _show_settings(config: Config, *, as_json: bool) -> None:
    shown = shown_settings(config)
    if as_json:
        print(json.dumps([one._asdict() for one in shown], indent=2))
        return
    width = max(len(one.name) for one in shown)
    for one in shown:
        print(f"{one.name:<{width}}  {one.value or '-':<24} {one.source}")


def _process_start() -> float:
    """When this process began, in seconds since the epoch."""
    try:
        with open("/proc/self/stat") as status, open("/proc/uptime") as uptime:
            ticks = int(status.read().rpartition(")")[2].split()[19])
            running = float(uptime.read().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")
        return time.time() - running
    except (OSError, ValueError, IndexError):
        return time.time()
