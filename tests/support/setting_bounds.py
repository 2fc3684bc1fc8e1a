"""The values at the ends of what a setting allows, and those just beyond."""

from __future__ import annotations

import math

from tidelog.broker.settings.setting import Setting

_FREE_TEXT = {
    "cors.origins": "https://a.example",
    "allowed.hosts": "a.example",
    "log.level": "warning,http=debug",
    "trusted.proxies": "10.0.0.0/8,fd00::/8,192.168.1.1",
    "retention.wait.for.groups": "g",
    "leader.replication.throttled.replicas": "0:1",
    "follower.replication.throttled.replicas": "0:1",
}
"""A value of those that may be any text."""


def allowed(setting: Setting) -> list[str]:
    """The lowest and the highest number; of other kinds every word."""
    match setting.kind:
        case "int" | "long" | "double":
            return [_text(setting, bound) for bound in setting.bounds]
        case "boolean":
            return list(setting.choices or ("false", "true"))
        case "list" if setting.choices:
            return ["", *setting.choices, ",".join(setting.choices)]
        case "list" if setting.name == "log.level":
            return [_FREE_TEXT[setting.name]]
        case "list":
            return ["", _FREE_TEXT[setting.name]]
        case _:
            return list(setting.choices)


def refused(setting: Setting) -> dict[str, str]:
    """Each with what is said of it: one beyond the bounds, and what is not of the kind at all."""
    match setting.kind:
        case "int" | "long" | "double":
            low, high = setting.bounds
            return {
                _text(setting, _below(setting, low)): f"must be at least {low}",
                _text(setting, _above(setting, high)): f"must be at most {high}",
                "x": "must be a whole number" if setting.kind != "double" else "must be a number",
                "1_0": "must be a whole number" if setting.kind != "double" else "must be a number",
            }
        case "boolean":
            return {"yes": "must be true or false"}
        case "string" | "list" if setting.choices:
            return {"no-such-word": f"must be one of {', '.join(setting.choices)}"}
        case "list" if setting.name == "log.level":
            return dict.fromkeys(
                ("loud", "http=loud"), "must be one of debug, info, warning, error"
            )
        case "list" if setting.name == "trusted.proxies":
            said = "must be addresses or networks, as 127.0.0.1,10.0.0.0/8"
            return dict.fromkeys(("proxy.example", "10.0.0.0/33"), said)
        case _:
            return {}


def _text(setting: Setting, number: float) -> str:
    return str(float(number) if setting.kind == "double" else int(number))


def _below(setting: Setting, low: float) -> float:
    return math.nextafter(low, -math.inf) if setting.kind == "double" else int(low) - 1


def _above(setting: Setting, high: float) -> float:
    return math.nextafter(high, math.inf) if setting.kind == "double" else int(high) + 1
