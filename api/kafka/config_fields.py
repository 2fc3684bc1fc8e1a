"""A setting as DescribeConfigs and CreateTopics tell it: value, source, type, synonyms."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tidelog.api.kafka.peer import Call
from tidelog.broker.settings.broker_settings import BROKER_SETTINGS, BrokerSettingValue
from tidelog.broker.settings.changing_settings import CHANGEABLE, Place
from tidelog.broker.settings.layered_settings import SettingValue
from tidelog.broker.settings.setting import Setting

TOPIC_RESOURCE, BROKER_RESOURCE, LOGGER_RESOURCE, GROUP_RESOURCE = 2, 4, 8, 32
DELETE_OPERATION = 1
_NAMED = (TOPIC_RESOURCE, GROUP_RESOURCE)
_REPLACED = (*_NAMED, BROKER_RESOURCE)
_ALTERED = (*_REPLACED, LOGGER_RESOURCE)
TOPIC, DYNAMIC_BROKER, _ALL_BROKERS, STATIC_BROKER, DEFAULT, GROUP = 1, 2, 3, 4, 5, 8
SET_FOR_ALL = (("min.insync.replicas", "1"),)
"""With eligible leader replicas Apache Kafka has these set for the whole cluster."""
_SOURCES = {"default": DEFAULT, "dynamic": DYNAMIC_BROKER, "dynamic_default": _ALL_BROKERS}
_TYPES = {"boolean": 1, "string": 2, "int": 3, "long": 5, "double": 6, "list": 7}


def source_number(source: str) -> int:
    """Kafka's number; whatever a process was started with is its static configuration."""
    return _SOURCES.get(source, STATIC_BROKER)


def _fields(setting: Setting, value: str | None, source: int, *, read_only: bool) -> dict[str, Any]:
    return {
        "name": setting.name,
        "value": value,
        "read_only": read_only,
        "config_source": source,
        "is_sensitive": False,
        "config_type": _TYPES[setting.kind],
        "documentation": setting.documentation,
    }


def config_fields(value: SettingValue, own: int = TOPIC) -> dict[str, Any]:
    """One setting of a topic, or of that which has ``own`` as its source."""

    def number(source: str) -> int:
        return own if source == "own" else source_number(source)

    synonyms = [
        {"name": name, "value": text, "source": number(source)}
        for name, text, source in value.synonyms
    ]
    # Where the broker has it from is told by the first of all places.
    source = value.synonyms[0][2] if value.source == "broker" else value.source
    fields = _fields(value.setting, value.value, number(source), read_only=False)
    return _with_cluster({**fields, "synonyms": synonyms})


def _with_cluster(fields: dict[str, Any]) -> dict[str, Any]:
    """A setting that has a value for all brokers tells it, above the default."""
    if fields["name"] not in dict(SET_FOR_ALL):
        return fields
    *above, default = fields["synonyms"]
    synonyms = [*above, {**default, "source": _ALL_BROKERS}, default]
    return {**fields, "config_source": synonyms[0]["source"], "synonyms": synonyms}


def cluster_configs(call: Call) -> list[dict[str, Any]]:
    """What is set for all brokers while they run."""
    configs = []
    for name, text in {**dict(SET_FOR_ALL), **call.broker.settings.changed.for_all}.items():
        synonym = {"name": name, "value": text, "source": _ALL_BROKERS}
        read_only = name not in CHANGEABLE
        fields = _fields(BROKER_SETTINGS[name], text, _ALL_BROKERS, read_only=read_only)
        configs.append({**fields, "synonyms": [synonym]})
    return configs


def broker_configs(call: Call) -> list[dict[str, Any]]:
    """Every setting of the broker."""
    local, advertised = call.peer.local, call.peer.advertised
    in_use = {
        "node.id": str(call.broker.node_id),
        "broker.id": str(call.broker.node_id),
        "log.dirs": call.broker.data_dir,
        "listeners": f"PLAINTEXT://{local}",
        "advertised.listeners": f"PLAINTEXT://{advertised}",
    }
    return [_broker_config(one, in_use.get(one.name)) for one in call.broker.settings.describe()]


def _broker_config(one: BrokerSettingValue, in_use: str | None) -> dict[str, Any]:
    """``in_use`` is the value of a setting that only the running process knows."""
    value, source, places = one.value, one.source, one.places
    if in_use is not None:
        value, source = in_use, "in use"
        defaults = (place for place in places if place.source == "default")
        places = (Place(one.name, in_use, source), *defaults)
    synonyms = [
        {"name": name, "value": text, "source": source_number(where)}
        for name, text, where in places
    ]
    read_only = one.name not in CHANGEABLE
    fields = _fields(one.setting, value, source_number(source), read_only=read_only)
    return _with_cluster({**fields, "synonyms": synonyms})


def misused_resources(resources: Any, *, replaces: bool) -> dict[tuple[int, str], str]:
    """Resources that a request to alter settings speaks of wrongly, each with what is wrong.

    ``replaces``: what the request leaves out is reset.
    """
    altered = _REPLACED if replaces else _ALTERED
    counts = Counter((one.resource_type, one.resource_name) for one in resources)
    found = {}
    for one in resources:
        key = one.resource_type, one.resource_name
        reason = None
        if counts[key] > 1:
            reason = "the resource stands twice in the request"
        elif one.resource_type not in altered:
            reason = f"nothing can be changed of resources of type {one.resource_type}"
        elif one.resource_type in _NAMED and not one.resource_name:
            reason = "a topic or group has a name"
        elif len({config.name for config in one.configs}) < len(one.configs):
            reason = "a setting stands twice in the request"
        elif any(_lacks_value(config) for config in one.configs):
            reason = "a setting has no value"
        if reason is not None:
            found[key] = reason
    return found


def _lacks_value(config: Any) -> bool:
    return config.value is None and getattr(config, "config_operation", None) != DELETE_OPERATION
