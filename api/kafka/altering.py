"""What AlterConfigs and IncrementalAlterConfigs share: settings of topics, groups, brokers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tidelog.api.caller import ALTER_CONFIGS
from tidelog.api.error_codes import INVALID_REQUEST
from tidelog.api.kafka.broker_loggers import NotForLoggers, changed_levels
from tidelog.api.kafka.config_fields import (
    BROKER_RESOURCE,
    GROUP_RESOURCE,
    LOGGER_RESOURCE,
    SET_FOR_ALL,
    TOPIC_RESOURCE,
    misused_resources,
)
from tidelog.api.kafka.lookups import code_of
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.encoding import Values
from tidelog.broker.errors import BrokerError, InvalidSetting
from tidelog.broker.settings.broker_settings import BROKER_SETTINGS
from tidelog.broker.settings.layered_settings import LayeredSettings
from tidelog.broker.settings.setting import Setting
from tidelog.broker.topic_name import check_topic_name
from tidelog.consumer_groups.errors import GroupError

Changes = dict[str, str | None]


class Present(NamedTuple):
    """Settings as they are: which there may be, which are set here, and the lists to change."""

    table: Mapping[str, Setting]
    overrides: Mapping[str, str]
    lists: Mapping[str, Any]

    @classmethod
    def of(cls, settings: LayeredSettings) -> Present:
        return cls(settings.table, settings.overrides, settings)

    @classmethod
    def of_broker(cls, overrides: Mapping[str, str]) -> Present:
        """Lists that are not set here are their defaults, whatever was set elsewhere."""
        lists = {
            name: setting.parse(overrides.get(name, setting.default or ""))
            for name, setting in BROKER_SETTINGS.items()
            if setting.kind == "list"
        }
        return cls(BROKER_SETTINGS, overrides, lists)


ChangesOf = Callable[[Present, Any], Changes]


async def alter(
    call: Call, request: Any, changes_of: ChangesOf, *, replaces: bool = False
) -> Values:
    """One answer for each resource; all changes of a resource or none.

    ``changes_of`` finds what a resource of the request asks for, given the present settings;
    with ``replaces`` that is to be all there is.
    """
    answers = []
    message: str | None
    misused = misused_resources(request.resources, replaces=replaces)
    for resource in request.resources:
        reason = misused.get((resource.resource_type, resource.resource_name))
        if (forbidden := _forbidden(call, resource)) is not None:
            code, message = code_of(forbidden), str(forbidden)
        elif reason is None:
            code, message = await _alter(call, resource, changes_of, request.validate_only)
        else:
            code, message = INVALID_REQUEST, reason
        answers.append(
            {
                "error_code": code,
                "error_message": message,
                "resource_type": resource.resource_type,
                "resource_name": resource.resource_name,
            }
        )
    return {"responses": answers}


def _forbidden(call: Call, resource: Any) -> Exception | None:
    try:
        if resource.resource_type == GROUP_RESOURCE:
            call.access.group(resource.resource_name, ALTER_CONFIGS)
        elif resource.resource_type == TOPIC_RESOURCE:
            call.access.check_topic(resource.resource_name, ALTER_CONFIGS)
        else:
            call.access.cluster(ALTER_CONFIGS)
    except (BrokerError, GroupError) as error:
        return error
    return None


async def _alter(
    call: Call, resource: Any, changes_of: ChangesOf, validate_only: bool
) -> tuple[int, str | None]:
    name = resource.resource_name
    try:
        if resource.resource_type == LOGGER_RESOURCE:
            return await _alter_loggers(call, resource, validate_only)
        if resource.resource_type == BROKER_RESOURCE:
            return await _alter_broker(call, resource, changes_of, validate_only)
        if resource.resource_type == GROUP_RESOURCE:
            present = Present.of(call.coordinator.settings_of(name))
            changes = changes_of(present, resource)
            await call.coordinator.alter_settings(name, changes, validate_only=validate_only)
        else:
            check_topic_name(name)
            present = Present.of(call.access.topic(name, ALTER_CONFIGS).settings)
            changes = changes_of(present, resource)
            await call.broker.alter_topic(name, changes, validate_only=validate_only)
    except Exception as error:
        return code_of(error), str(error)
    return 0, None


async def _alter_broker(
    call: Call, resource: Any, changes_of: ChangesOf, validate_only: bool
) -> tuple[int, str | None]:
    """The empty name means all brokers. Apache Kafka calls values of brokers invalid otherwise."""
    name, broker = resource.resource_name, call.broker
    if name not in ("", str(broker.node_id)):
        return INVALID_REQUEST, f"this is broker {broker.node_id}, not {name!r}"
    changed = broker.settings.changed
    overrides = changed.own if name else changed.for_all
    changes = changes_of(Present.of_broker(overrides), resource)
    if not name:
        changes = {one: text for one, text in changes.items() if (one, text) not in SET_FOR_ALL}
    try:
        await broker.running_settings.alter(changes, for_all=not name, validate_only=validate_only)
    except InvalidSetting as error:
        return INVALID_REQUEST, str(error)
    return 0, None


async def _alter_loggers(call: Call, resource: Any, validate_only: bool) -> tuple[int, str | None]:
    broker, name = call.broker, resource.resource_name
    if name != str(broker.node_id):
        return INVALID_REQUEST, f"this is broker {broker.node_id}, not {name!r}"
    try:
        levels = changed_levels(broker.settings.log_levels, resource.configs)
    except NotForLoggers as error:
        return INVALID_REQUEST, str(error)
    changes = {"log.level": levels.text}
    await broker.running_settings.alter(changes, validate_only=validate_only)
    return 0, None
