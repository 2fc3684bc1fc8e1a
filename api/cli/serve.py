"""``tidelog serve``: parsed with the standard library, because starting quickly counts here."""

from __future__ import annotations

import argparse
import json
import os
import signal
import stat
import sys
import time
from collections.abc import Callable, Sequence

from tidelog.api.config import OFF, Config, ConfigError, load_config, shown_settings

FAILED, USAGE = 1, 2


def parser() -> argparse.ArgumentParser:
    """The flags of ``serve``."""
    parser = argparse.ArgumentParser(
        prog="tidelog serve",
        description="Run a broker. Settings come from flags, TIDELOG_* variables and tidelog.toml, "
        "in that order.",
    )
    add = parser.add_argument
    add("--config", metavar="FILE", help="file of settings to read instead of ./tidelog.toml")
    add("--data-dir", metavar="DIR", help="where topics are kept (default ./tidelog-data)")
    add("--http", metavar="HOST:PORT,...", help="where HTTP is served (default 127.0.0.1:8082)")
    add("--kafka", metavar="HOST:PORT,...", help="the same for Kafka (default 127.0.0.1:9092)")
    add("--no-kafka", action="store_true", help="do not serve the Kafka protocol")
    text = "address that Kafka clients are told, or one for each of --kafka"
    add("--advertised", metavar="HOST:PORT,...", help=text)
    add(
        "--log-level",
        metavar="LEVEL",
        help="debug, info, warning or error; of an area another: info,groups=debug",
    )
    add("--log-format", metavar="FORMAT", help="text or json")
    add("--log-file", metavar="FILE", help="where the log goes (default: standard error)")
    add(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="any broker setting by its Kafka name, such as num.partitions=4; repeatable",
    )
    add(
        "--until-eof",
        action="store_true",
        help="also stop when standard input, a pipe, is closed: with the process that started it",
    )
    add(
        "--clock-ahead",
        metavar="MS",
        type=int,
        help="for tests: run ahead of this machine's clock, with --until-eof; lines such as "
        '{"ahead_ms": 3600000} on standard input then move the clock',
    )
    add("--show-settings", action="store_true", help="print every setting with its source and stop")
    add("--json", action="store_true", help="with --show-settings: as JSON")
    return parser


def serve(arguments: Sequence[str]) -> int:
    """Run the broker; the exit status."""
    started_at = _process_start()
    # Until the broker can read its settings again, it is not to end by this.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    given = parser().parse_args(arguments)
    from tidelog.broker.errors import BrokerError

    def load() -> Config:
        return load_config(_flags(given), os.environ, file=given.config)

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
    from tidelog.api.app import CannotListen, Process, run
    from tidelog.api.broker_log import CannotLog
    from tidelog.broker.errors import BrokerError
    from tidelog.storage.errors import StorageError

    try:
        run(Process(config, load, started_at, given.until_eof, given.clock_ahead))
    except (BrokerError, StorageError, CannotListen, CannotLog) as error:
        print(f"tidelog: {error}", file=sys.stderr)
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
