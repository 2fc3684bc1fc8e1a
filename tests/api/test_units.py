"""Durations, sizes and times as people write them, and what is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidelog.api.config import load_config
from tidelog.api.errors import ApiError
from tidelog.api.http.parameters import quantity
from tidelog.api.rest.records.offset_spec import time_parameter
from tidelog.api.units import in_plain_numbers, parse_duration, parse_size, parse_time
from tidelog.broker.errors import InvalidSetting
from tidelog.broker.settings.broker_settings import BROKER_SETTINGS
from tidelog.broker.settings.setting import Setting
from tidelog.broker.settings.topic_settings import TOPIC_SETTINGS

DAY_MS = 86_400_000
NOW_MS = 1_700_000_000_000
ELSEWHERE = Path("/nowhere")


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("0", 0),
        ("1500", 1500),
        ("500ms", 500),
        ("90s", 90_000),
        ("5m", 300_000),
        ("5min", 300_000),
        ("12h", 43_200_000),
        ("7d", 7 * DAY_MS),
        ("2w", 14 * DAY_MS),
        ("1.5h", 5_400_000),
        ("0.001s", 1),
        ("1h30m", 5_400_000),
        ("1h 30m 5s 10ms", 5_405_010),
        ("7 d", 7 * DAY_MS),
        (str(2**63 - 1), 2**63 - 1),
    ],
)
def test_durations(text: str, milliseconds: int) -> None:
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize(
    "text",
    [
        *("", "d", "7x", "7D", "7 days", "-7d", "+7d", "7d ", " 7d", "7d\n", "7  d", "1h,30m"),
        *("1_0s", "1e3s", ".5h", "5.h", "0.1ms", "\uff17d", str(2**63), "99999999999w", "1:30"),
    ],
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|large|whole"):
        parse_duration(text)


@given(st.dictionaries(st.sampled_from("wdhms"), st.integers(0, 10**6), min_size=1))
def test_a_duration_is_the_sum_of_its_parts(parts: dict[str, int]) -> None:
    names = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
    expected = timedelta(**{names[unit]: number for unit, number in parts.items()})
    text = "".join(f"{number}{unit}" for unit, number in parts.items())
    assert parse_duration(text) == expected // timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("4096", 4096),
        ("100B", 100),
        ("512k", 512 * 1024),
        ("512K", 512 * 1024),
        ("64M", 64 * 1024**2),
        ("1kB", 1000),
        ("1KB", 1000),
        ("1GB", 10**9),
        ("10MiB", 10 * 1024**2),
        ("10mib", 10 * 1024**2),
        ("1.5GiB", 1536 * 1024**2),
        ("2TiB", 2 * 1024**4),
        ("1 GiB", 1024**3),
    ],
)
def test_sizes(text: str, count: int) -> None:
    assert parse_size(text) == count


@pytest.mark.parametrize(
    "text",
    [
        *("", "k", "MiB", "1x", "1i", "1iB", "1PiB", "-1k", "+1k", "1k ", " 1k", "1k\n", "1  k"),
        *(
            "1_0k",
            "1e3k",
            ".5k",
            "0.3B",
            "0.0001k",
            "\uff11k",
            str(2**63),
            "9999999999TiB",
            "1Mb/s",
        ),
    ],
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"size|large|whole"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("0", 0),
        ("00012", 12),
        ("1700000000000", 1_700_000_000_000),
        (str(2**63 - 1), 2**63 - 1),
        ("now", NOW_MS),
        ("-1h", NOW_MS - 3_600_000),
        ("-7d", NOW_MS - 7 * DAY_MS),
        ("-1h30m", NOW_MS - 5_400_000),
        ("2023-11-14", 1_699_920_000_000),
        ("2023-11-14T10:00", 1_699_956_000_000),
        ("2023-11-14 10:00", 1_699_956_000_000),
        ("2023-11-14T10:00:01", 1_699_956_001_000),
        ("2023-11-14T10:00:01.25", 1_699_956_001_250),
        ("2023-11-14T10:00Z", 1_699_956_000_000),
        ("2023-11-14T11:00+01:00", 1_699_956_000_000),
        ("2023-11-14T11:00:00+01:00", 1_699_956_000_000),
        ("1969-12-31T23:59:59Z", -1000),
    ],
)
def test_times(text: str, milliseconds: int) -> None:
    assert parse_time(text, NOW_MS) == milliseconds


NO_TIME = [
    *("", "-1", "+5", "1_000", "1e3", "5.0", "\uff19", str(2**63), "9" * 30, "yesterday", "Now"),
    *("+1h", "-1x", "-", "--1h", "2023-13-14", "2023-02-29", "2023-11-14T", "2023-11-14Z"),
    *("2023-11-14T10", "2023-11-14T25:00", "2023-11-14T10:60", "2023-1-14", "14.11.2023"),
    *("2023-11-14T10:00:01.", "2023-11-14T11:00 01:00", " 2023-11-14", "2023-11-14\n"),
]


@pytest.mark.parametrize("text", NO_TIME)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_time(text, NOW_MS)
    with pytest.raises(ApiError, match="from: ") as raised:
        time_parameter(text, "from", NOW_MS)
    assert (raised.value.status, raised.value.details) == (422, {"parameter": "from"})


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)))
def test_without_a_zone_it_is_utc(moment: datetime) -> None:
    whole = moment.replace(microsecond=0)
    expected = (whole.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    assert parse_time(whole.isoformat(), NOW_MS) == expected * 1000
    minute = expected - whole.second
    assert parse_time(whole.isoformat(timespec="minutes"), NOW_MS) == minute * 1000


@pytest.mark.parametrize(
    ("setting", "text", "plain"),
    [
        (TOPIC_SETTINGS["retention.ms"], "7d", "604800000"),
        (TOPIC_SETTINGS["retention.ms"], " 7d ", "604800000"),
        (TOPIC_SETTINGS["retention.ms"], "-1", "-1"),
        (TOPIC_SETTINGS["retention.ms"], "604800000", "604800000"),
        (TOPIC_SETTINGS["segment.bytes"], "64MiB", str(64 * 1024**2)),
        (TOPIC_SETTINGS["cleanup.policy"], "compact", "compact"),
        (BROKER_SETTINGS["log.retention.hours"], "7d", "168"),
        (BROKER_SETTINGS["log.retention.minutes"], "1h30m", "90"),
        (BROKER_SETTINGS["log.cleaner.dedupe.buffer.size"], "128M", str(128 * 1024**2)),
        (BROKER_SETTINGS["log.cleaner.io.max.bytes.per.second"], "50MB", "50000000"),
    ],
)
def test_settings_with_units(setting: Setting, text: str, plain: str) -> None:
    assert in_plain_numbers(setting, text) == plain


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("log.retention.ms", "7x"),
        ("log.retention.ms", "10MiB"),
        ("log.retention.ms", "-1h"),
        ("log.retention.hours", "90m"),
        ("log.segment.bytes", "7d"),
        ("num.partitions", "3k"),
        ("group.max.size", "3k"),
    ],
)
def test_settings_with_units_that_are_none_of_theirs(name: str, text: str) -> None:
    with pytest.raises(InvalidSetting, match=f"{name}={text}: must be a whole number"):
        load_config({name: text}, {}, ELSEWHERE)


def test_every_setting_that_counts_time_or_bytes_takes_units() -> None:
    for setting in (*TOPIC_SETTINGS.values(), *BROKER_SETTINGS.values()):
        if setting.name.endswith((".ms", ".minutes", ".hours")):
            assert in_plain_numbers(setting, "3600000ms") in ("3600000", "60", "1")
        elif "bytes" in setting.name or setting.name.endswith("buffer.size"):
            assert in_plain_numbers(setting, "2k") == "2048"


def test_settings_of_a_process_from_everywhere(tmp_path: Path) -> None:
    (tmp_path / "tidelog.toml").write_text('"log.retention.ms" = "7d"\n"cache.bytes" = "8MiB"\n')
    variables = {"TIDELOG_CACHE_BYTES": "16MiB", "TIDELOG_LOG_SEGMENT_BYTES": "64MiB"}
    config = load_config({"log.segment.bytes": "32MiB"}, variables, tmp_path)
    assert config.broker["log.retention.ms"] == 7 * DAY_MS
    assert config.broker["cache.bytes"] == 16 * 1024**2
    assert config.broker["log.segment.bytes"] == 32 * 1024**2
    assert config.broker.text("log.segment.bytes") == str(32 * 1024**2)


@pytest.mark.parametrize("text", ["2s", "2000", "2000ms"])
def test_a_query_takes_units(text: str) -> None:
    assert quantity({"wait_ms": text}, "wait_ms", parse_duration, 0, 0, 60_000) == 2000


@pytest.mark.parametrize("text", ["2m", "-1", "x", "60001", "1MiB", "\uff12s"])
def test_a_query_keeps_its_bounds(text: str) -> None:
    with pytest.raises(ApiError, match="wait_ms must be a whole number from 0 to 60000") as raised:
        quantity({"wait_ms": text}, "wait_ms", parse_duration, 0, 0, 60_000)
    assert (raised.value.status, raised.value.details) == (422, {"parameter": "wait_ms"})


def test_units_on_the_http_api(http: httpx.Client) -> None:
    body = {"name": "units", "settings": {"retention.ms": "7d", "segment.bytes": "64MiB"}}
    made = http.post("/v1/topics", json=body).json()
    values = {one["name"]: one["value"] for one in made["settings"]}
    assert values["retention.ms"] == str(7 * DAY_MS)
    assert values["segment.bytes"] == str(64 * 1024**2)
    refused = http.patch("/v1/topics/units", json={"settings": {"retention.ms": "7 parsecs"}})
    assert refused.status_code == 422
    assert "7d" in refused.json()["error"]["message"]
    records = [{"value": "old", "timestamp": NOW_MS}, {"value": "new"}]
    assert http.post("/v1/topics/units/records", json={"records": records}).status_code == 200

    def values_of(path: str, **query: str) -> list[str]:
        shown = http.get(f"/v1/topics/units/{path}", params=query).json()["records"]
        return [one["value"] for one in shown]

    one, merged = "partitions/0/records", "records"
    assert values_of(one, offset="ts:-1h", wait_ms="1s", max_bytes="1MiB") == ["new"]
    assert values_of(one, offset="ts:2023-11-14") == ["old", "new"]
    assert values_of(one, offset="ts:now") == []
    assert values_of(merged, **{"from": "-1d"}) == ["new"]
    assert values_of(merged, **{"from": "1969-12-31T00:00:00Z", "to": "2023-11-15"}) == ["old"]
    found = http.get("/v1/topics/units/offsets", params={"timestamp": "-1h"}).json()["offsets"]
    assert [place["offset"] for place in found] == [1]


@pytest.mark.parametrize(
    ("body", "after"),
    [
        ({"to": "duration", "value": "1h"}, 1),
        ({"to": "duration", "value": 3_600_000}, 1),
        ({"to": "timestamp", "value": "-1h"}, 1),
        ({"to": "timestamp", "value": "2023-11-14"}, 0),
    ],
)
def test_units_of_a_reset(http: httpx.Client, body: dict[str, str | int], after: int) -> None:
    http.post("/v1/topics", json={"name": "moved"})
    records = [{"value": "old", "timestamp": NOW_MS}, {"value": "new"}]
    http.post("/v1/topics/moved/records", json={"records": records})
    path = "/v1/groups/movers/offsets:reset"
    changes = http.post(path, json={**body, "topics": ["moved"]}).json()["changes"]
    assert [one["after"] for one in changes] == [after]
    refused = http.post(path, json={"to": "duration", "value": "a while", "topics": ["moved"]})
    assert (refused.status_code, "7d" in refused.text) == (422, True)


def test_units_of_the_time_of_a_record(http: httpx.Client) -> None:
    http.post("/v1/topics", json={"name": "timed"})
    path, raw = "/v1/topics/timed/records", {"Content-Type": "application/octet-stream"}
    for text, time in (("2023-11-14", 1_699_920_000_000), ("1700000000000", NOW_MS)):
        written = http.post(path, params={"timestamp": text}, content=b"x", headers=raw)
        assert written.json()["records"][0]["timestamp"] == time
    for text in ("1969-01-01", "-1", "soon"):
        refused = http.post(path, params={"timestamp": text}, content=b"x", headers=raw)
        assert (refused.status_code, "timestamp" in refused.text) == (422, True)
