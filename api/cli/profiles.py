"""Brokers by name, kept in ``tidelog/config.toml`` below the user's directory of settings (XDG).

    use = "staging"

    [profile.staging]
    server = "https://tidelog.example"
    token = "…"

The file may be edited; what writes it here writes it whole, and only for its owner's eyes.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from tidelog.api.cli.failures import CommandFailed, UsedWrongly

_FIELDS = {"server": str, "token": str, "ca_file": str, "insecure": bool}


class Profile(NamedTuple):
    """How one broker is reached."""

    server: str
    token: str | None = None
    ca_file: str | None = None
    insecure: bool = False


def config_path(environment: Mapping[str, str]) -> str:
    """Where profiles are kept."""
    home = environment.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(home):
        home = os.path.join(environment.get("HOME") or os.path.expanduser("~"), ".config")
    return os.path.join(home, "tidelog", "config.toml")


class Profiles(NamedTuple):
    """All of them, by name; ``used`` is the name of the one in use."""

    path: str
    by_name: Mapping[str, Profile] = MappingProxyType({})
    used: str | None = None

    @classmethod
    def load(cls, environment: Mapping[str, str]) -> Profiles:
        """Those of the file; none where there is no file. Raises UsedWrongly."""
        path = config_path(environment)
        try:
            with open(path, "rb") as file:
                content = file.read()
        except (FileNotFoundError, NotADirectoryError):
            return cls(path)
        except OSError as error:
            raise UsedWrongly(f"{path} cannot be read: {error.strerror}") from error
        import tomllib

        try:
            document = tomllib.loads(content.decode())
        except (ValueError, RecursionError) as error:
            raise UsedWrongly(f"{path} cannot be read: {error}") from error
        return cls(path, *_checked(path, document))

    def named(self, name: str) -> Profile:
        """Raises UsedWrongly, which says what there is."""
        found = self.by_name.get(name)
        if found is None:
            known = ", ".join(self.by_name) or "none; 'tidelog profile add' makes one"
            raise UsedWrongly(f"there is no profile {name!r}; there are: {known}")
        return found

    def with_one(self, name: str, profile: Profile) -> Profiles:
        """With one more, or another of that name; the first one is in use."""
        used = self.used if self.by_name else name
        return Profiles(self.path, {**self.by_name, name: profile}, used)

    def without(self, name: str) -> Profiles:
        """Raises UsedWrongly where there is no such."""
        self.named(name)
        left = {known: profile for known, profile in self.by_name.items() if known != name}
        return Profiles(self.path, left, None if self.used == name else self.used)

    def using(self, name: str) -> Profiles:
        """Raises UsedWrongly where there is no such."""
        self.named(name)
        return self._replace(used=name)

    def save(self) -> None:
        """Write the file, whole or not at all. Raises CommandFailed."""
        lines = [] if self.used is None else [f"use = {_quoted(self.used)}"]
        for name, profile in self.by_name.items():
            lines += ["", f"[profile.{_quoted(name)}]"]
            for field, value in profile._asdict().items():
                if value:
                    lines.append(f"{field} = {_quoted(value) if value is not True else 'true'}")
        temporary = f"{self.path}.{os.getpid()}"
        try:
            os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write("\n".join(lines).lstrip("\n") + "\n")
            os.replace(temporary, self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise CommandFailed(f"{self.path} cannot be written: {error.strerror}") from error


def _quoted(text: str) -> str:
    """As a basic string of TOML, whose escapes are those of JSON but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _checked(path: str, document: dict[str, Any]) -> tuple[dict[str, Profile], str | None]:
    """Raises UsedWrongly, which names the line that is wrong."""
    tables, used = document.pop("profile", {}), document.pop("use", None)
    if document:
        raise UsedWrongly(f"{path}: {next(iter(document))} is not known; there are use and profile")
    if not isinstance(tables, dict) or not isinstance(used, str | None):
        raise UsedWrongly(f"{path}: use is a name, and each profile a table [profile.NAME]")
    profiles = {}
    for name, fields in tables.items():
        if not isinstance(fields, dict) or "server" not in fields:
            raise UsedWrongly(f"{path}: [profile.{name}] has no server")
        for field, value in fields.items():
            if not isinstance(value, _FIELDS.get(field, ())):
                known = ", ".join(_FIELDS)
                raise UsedWrongly(f"{path}: {field} of [profile.{name}]: there are {known}")
        profiles[name] = Profile(**fields)
    if used is not None and used not in profiles:
        raise UsedWrongly(f"{path}: use = {used!r}, but there is no such profile")
    return profiles, used
