"""A setting as DescribeConfigs and CreateTopics tell it: value, source, type, synonyms."""

from __future__ import annotations

from typing import Any

from tidelog.broker.broker_settings import BROKER_SETTINGS, BrokerSettingValue
from tidelog.broker.settings import Setting
from tidelog.broker.topic_settings import SettingValue

TOPIC, DYNAMIC_BROKER, STATIC_BROKER, DEFAULT = 1, 2, 4, 5
_SOURCES = {"topic": TOPIC, "broker": STATIC_BROKER, "default": DEFAULT, "dynamic": DYNAMIC_BROKER}
_TYPES = {"boolean": 1, "string": 2, "int": 3, "long": 5, "double": 6, "list": 7}


def source_number(source: str) -> int:
    """Kafka's number; whatever a process was started with is its static configuration."""
    return _SOURCES.get(source, STATIC_BROKER)


def _fields(setting: Setting, value: str | None, source: int) -> dict[str, Any]:
    return {
        "name": setting.name,
        "value": value,
        "read_only": setting.read_only,
        "is_default": source == DEFAULT,
        "config_source": source,
        "is_sensitive": False,
        "config_type": _TYPES[setting.kind],
        "documentation": setting.documentation,
    }


def topic_config_fields(value: SettingValue) -> dict[str, Any]:
    """One setting of a topic."""
    synonyms = [
        {"name": name, "value": text, "source": source_number(source)}
        for name, text, source in value.synonyms
    ]
    return {
        **_fields(value.setting, value.value, source_number(value.source)),
        "synonyms": synonyms,
    }


def broker_config_fields(value: BrokerSettingValue) -> dict[str, Any]:
    """One setting of the broker."""
    source = source_number(value.source)
    synonyms = []
    if value.value is not None:
        synonyms.append({"name": value.name, "value": value.value, "source": source})
    default = BROKER_SETTINGS[value.name].default
    if source != DEFAULT and default is not None:
        synonyms.append({"name": value.name, "value": default, "source": DEFAULT})
    return {**_fields(value.setting, value.value, source), "synonyms": synonyms}
