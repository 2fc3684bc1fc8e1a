"""The alerts for Prometheus: each fires for what it is for, and for nothing else."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.prometheus import program

ROOT = Path(__file__).parents[1]
ALERTS = ROOT / "docs" / "service" / "alerts.yml"
NAMES = re.findall(r"alert: (\w+)", ALERTS.read_text())


class Case(NamedTuple):
    """Series as promtool writes them, a value a minute, and when what they tell fires an alert."""

    alert: str
    series: dict[str, str]
    at: str


def named(name: str, **labels: str) -> str:
    listed = {"job": "tidelog", "instance": "b", **labels}
    return name + "{" + ",".join(f'{label}="{value}"' for label, value in listed.items()) + "}"


def of_group(name: str, **labels: str) -> str:
    return named(f"kafka_consumergroup_{name}", consumergroup="g", group="g", topic="t", **labels)


def answers(status: str) -> str:
    return named("tidelog_http_responses_total", api="GET /", status=status)


def slow(name: str) -> dict[str, str]:
    """A histogram of which nothing is faster than a second."""
    counts = {"0.5": "0x60", "1": "0x60", "2.5": "0+60x60", "+Inf": "0+60x60"}
    return {named(f"{name}_bucket", le=bound): count for bound, count in counts.items()}


def disk(free: str) -> dict[str, str]:
    return {named("tidelog_disk_free_bytes"): free, named("tidelog_disk_size_bytes"): "100x120"}


STOPPED = named("tidelog_log_writes_stopped", topic="t", partition="0")
BEHIND = of_group("lag_seconds", partition="0")
FIRING = (
    Case("TidelogDown", {named("up"): "1x5 0x10"}, "10m"),
    Case("TidelogWritesStopped", {STOPPED: "0 1x10"}, "2m"),
    Case("TidelogDiskLow", disk("50 9x120"), "10m"),
    Case("TidelogDiskFullSoon", disk("90-0.5x120"), "90m"),
    Case("TidelogGroupBehind", {BEHIND: "301+60x60"}, "20m"),
    Case(
        "TidelogGroupStopped",
        {of_group("lag_sum"): "0x5 10x60", of_group("current_offset_sum"): "7x60"},
        "20m",
    ),
    Case("TidelogErrors", {answers("200"): "0+95x60", answers("503"): "0+5x60"}, "20m"),
    Case("TidelogFlushSlow", slow("tidelog_flush_seconds"), "20m"),
    Case("TidelogBusy", slow("tidelog_loop_lag_seconds"), "20m"),
    Case("TidelogCompactionFails", {named("tidelog_compaction_failures_total"): "0x5 1x60"}, "10m"),
    Case("TidelogRestarts", {named("process_start_time_seconds"): "1 2 3 4 5x60"}, "6m"),
)
WELL = Case(
    "",
    {
        named("up"): "1x120",
        STOPPED: "0x120",
        **disk("50x120"),
        BEHIND: "0x80 400x10 0x90",
        of_group("lag_sum"): "10x120",
        of_group("current_offset_sum"): "0+5x120",
        answers("200"): "0+1000x120",
        answers("404"): "0+1000x120",
        answers("503"): "0+1x120",
        named("tidelog_flush_seconds_bucket", le="0.005"): "0+60x120",
        named("tidelog_flush_seconds_bucket", le="+Inf"): "0+60x120",
        named("tidelog_compaction_failures_total"): "1x120",
        named("process_start_time_seconds"): "1x80 2x90",
    },
    "90m",
)
"""Busy, behind for a while, started anew once: nobody need be called."""


def check(directory: Path, case: Case) -> subprocess.CompletedProcess[str]:
    """promtool's verdict on whether just this alert fires."""
    test: dict[str, Any] = {
        "interval": "1m",
        "input_series": [
            {"series": name, "values": values} for name, values in case.series.items()
        ],
        "alert_rule_test": [
            {"alertname": name, "eval_time": case.at, "exp_alerts": []}
            for name in NAMES
            if name != case.alert
        ],
    }
    if case.alert:
        fires = {"expr": f'count(ALERTS{{alertname="{case.alert}",alertstate="firing"}})'}
        test["promql_expr_test"] = [
            {**fires, "eval_time": case.at, "exp_samples": [{"labels": "{}", "value": 1}]}
        ]
    # JSON is YAML.
    path = directory / "test.yml"
    path.write_text(json.dumps({"rule_files": [str(ALERTS)], "tests": [test]}))
    command = [program("promtool"), "test", "rules", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_prometheus_takes_them() -> None:
    command = [program("promtool"), "check", "rules", str(ALERTS)]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(NAMES)} rules found" in checked.stdout


@pytest.mark.parametrize("case", FIRING, ids=lambda case: case.alert)
def test_each_fires_for_what_it_is_for(tmp_path: Path, case: Case) -> None:
    checked = check(tmp_path, case)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_none_is_left_out() -> None:
    assert [case.alert for case in FIRING] == NAMES


def test_all_is_quiet_where_all_is_well(tmp_path: Path) -> None:
    checked = check(tmp_path, WELL)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_they_ask_for_what_is_there() -> None:
    documented = (ROOT / "docs" / "metrics.md").read_text()
    metrics = set(re.findall(r"\b((?:tidelog|kafka|process)_\w+)", ALERTS.read_text()))
    assert len(metrics) > 8
    for metric in metrics:
        assert f"| `{metric.removesuffix('_bucket')}` |" in documented, metric
