"""What a setting is: a name, a kind, bounds, a default and a sentence that explains it.

Values travel as text, as in Kafka's protocol; ``parse`` turns them into what code uses.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tidelog.broker.errors import InvalidSetting

Value = int | float | bool | str | tuple[str, ...] | None

_BOUNDS: dict[str, tuple[float, float]] = {
    "int": (-(2**31), 2**31 - 1),
    "long": (-(2**63), 2**63 - 1),
    "double": (-sys.float_info.max, sys.float_info.max),
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting; ``kind`` is int, long, double, boolean, string or list.

    ``default`` None means that it is not set. ``broker_synonyms`` are the broker settings that a
    topic setting falls back to, strongest first, each with the factor that turns its unit into
    this one's. ``told_as`` is the broker setting by whose name Kafka tells the default, where
    there is none to fall back to here.
    """

    name: str
    kind: str
    default: str | None
    documentation: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    read_only: bool = False
    broker_synonyms: tuple[tuple[str, int], ...] = ()
    told_as: str | None = None

    def parse(self, text: str) -> Value:
        """The value of ``text``. Raises InvalidSetting, which names the bound."""
        text = text.strip()
        match self.kind:
            case "int" | "long":
                return self._number(text, int)
            case "double":
                return self._number(text, float)
            case "boolean":
                if text.lower() not in ("true", "false"):
                    raise InvalidSetting(self.name, text, "must be true or false")
                self._check_choice(text.lower(), text)
                return text.lower() == "true"
            case "list":
                parts = tuple(part.strip() for part in text.split(",") if part.strip())
                for part in parts:
                    self._check_choice(part, text)
                return parts
            case _:
                self._check_choice(text, text)
                return text

    def _check_choice(self, word: str, text: str) -> None:
        if self.choices and word not in self.choices:
            raise InvalidSetting(self.name, text, f"must be one of {', '.join(self.choices)}")

    def _number(self, text: str, kind: type[int] | type[float]) -> int | float:
        try:
            # Python's own way to group digits is not a number to anybody else.
            value = kind(text.replace("_", "x"))
        except ValueError:
            what = "a whole number" if kind is int else "a number"
            raise InvalidSetting(self.name, text, f"must be {what}") from None
        low, high = self.bounds
        if not value >= low:
            raise InvalidSetting(self.name, text, f"must be at least {low}")
        if not value <= high:
            raise InvalidSetting(self.name, text, f"must be at most {high}")
        self._check_choice(str(value), text)
        return value

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest value of a number."""
        low, high = _BOUNDS[self.kind]
        return (
            low if self.minimum is None else self.minimum,
            high if self.maximum is None else self.maximum,
        )


def table(settings: Iterable[Setting]) -> dict[str, Setting]:
    """Settings by name, in alphabetical order."""
    return {setting.name: setting for setting in sorted(settings, key=lambda s: s.name)}


def find(settings: Mapping[str, Setting], name: str, value: str | None = None) -> Setting:
    """The setting of that name. Raises InvalidSetting, which suggests the nearest name."""
    setting = settings.get(name)
    if setting is None:
        near = difflib.get_close_matches(name, settings, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InvalidSetting(name, value, f"there is no such setting{hint}")
    return setting
