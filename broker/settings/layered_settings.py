"""Settings of a thing within the broker, a topic or a group, and how their values are found.

A value comes from the thing itself, else from the broker setting that it falls back to, else from
the default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from tidelog.broker.settings.broker_settings import BROKER_SETTINGS, BrokerSettings
from tidelog.broker.settings.setting import Setting, Value, find

Source = Literal["own", "broker", "default"]


class SettingValue(NamedTuple):
    """A setting's value as text and its source.

    ``synonyms`` are all the places with a value, strongest first: (name, value, source), the
    broker's as in ``broker_settings.Place``.
    """

    name: str
    value: str
    source: Source
    default: str
    setting: Setting
    synonyms: tuple[tuple[str, str, str], ...]


class LayeredSettings(Mapping[str, Any]):
    """Values by name, resolved and parsed once; ``table`` says which there are."""

    def __init__(
        self, table: Mapping[str, Setting], overrides: Mapping[str, str], broker: BrokerSettings
    ) -> None:
        """Raises InvalidSetting."""
        self.table = table
        self.overrides = {name: text.strip() for name, text in overrides.items()}
        self._broker = broker
        self._values: dict[str, Value] = {}
        for name, text in self.overrides.items():
            self._values[name] = find(table, name, text).parse(text)
        for name, setting in table.items():
            if name not in self._values:
                self._values[name] = setting.parse(self._inherited(setting)[0])

    def _inherited(self, setting: Setting) -> tuple[str, Source]:
        """The value without an override, and where it comes from."""
        for name, factor in setting.broker_synonyms:
            text = self._broker.text(name)
            if text is not None and (
                name in self._broker.overrides or name == setting.broker_synonyms[-1][0]
            ):
                given = name in self._broker.overrides
                return _scaled(text, factor), "broker" if given else "default"
        assert setting.default is not None, "every such setting has a default"
        return setting.default, "default"

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Any:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def describe(self) -> list[SettingValue]:
        """Every setting with its value, source, default and synonyms, by name."""
        described = []
        for name, setting in self.table.items():
            inherited, source = self._inherited(setting)
            synonyms = self._synonyms(setting)
            if name in self.overrides:
                value, source = self.overrides[name], "own"
                synonyms = ((name, value, source), *synonyms)
            else:
                value = inherited
            default = setting.default or ""
            described.append(SettingValue(name, value, source, default, setting, synonyms))
        return described

    def _synonyms(self, setting: Setting) -> tuple[tuple[str, str, str], ...]:
        found: list[tuple[str, str, str]] = [
            place for name, _ in setting.broker_synonyms for place in self._broker.places(name)
        ]
        if len(setting.broker_synonyms) > 1:
            # The default is the weakest's; in Kafka the strongest, which counts, has none.
            weakest = setting.broker_synonyms[-1][0]
            if found:
                found.append((weakest, BROKER_SETTINGS[weakest].default or "", "default"))
            return tuple(found)
        told_as = setting.broker_synonyms[0][0] if setting.broker_synonyms else setting.told_as
        if told_as is not None:
            found.append((told_as, setting.default or "", "default"))
        return tuple(found)


def _scaled(text: str, factor: int) -> str:
    return text if factor == 1 or text == "-1" else str(int(text) * factor)
