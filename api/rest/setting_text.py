"""Settings of an HTTP body as the texts that settings are parsed from."""

from __future__ import annotations

from collections.abc import Mapping

from tidelog.api.units import in_plain_numbers
from tidelog.broker.settings.setting import Setting, find

SettingIn = str | int | float | bool


def setting_texts(table: Mapping[str, Setting], given: Mapping[str, SettingIn]) -> dict[str, str]:
    """Names are let alone, whether there is such a setting or not. Raises InvalidSetting."""
    return {name: _text(table.get(name), value) for name, value in given.items()}


def setting_changes(
    table: Mapping[str, Setting], given: Mapping[str, SettingIn | None]
) -> dict[str, str | None]:
    """As ``setting_texts``; None resets a setting that there is. Raises InvalidSetting."""
    for name, value in given.items():
        if value is None:
            find(table, name)
    return {
        name: None if value is None else _text(table.get(name), value)
        for name, value in given.items()
    }


def _text(setting: Setting | None, value: SettingIn) -> str:
    if isinstance(value, str):
        return value if setting is None else in_plain_numbers(setting, value)
    return str(value).lower() if isinstance(value, bool) else str(value)
