"""One member's way from its present assignment to its target, a step per heartbeat (KIP-848).

    STABLE                 has its target, at the target's epoch
    UNREVOKED_PARTITIONS   was told to give up partitions and has not said that it did; its epoch
                           stays until then, so that it can still commit what it read
    UNRELEASED_PARTITIONS  is at the target's epoch and waits for partitions that others still own

A partition never has two owners: it is given to a member only when nobody owns it, and a member
owns what it is giving up until it has said so. Pure; the rules are those of Apache Kafka's
CurrentAssignmentBuilder.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple
from uuid import UUID

from tidelog.consumer_groups.records.consumer_group_records import (
    CurrentAssignment,
    MemberState,
    TopicIdPartition,
)


class Target(NamedTuple):
    """What the member is to have, and since when."""

    epoch: int
    partitions: frozenset[TopicIdPartition]


class Surroundings(NamedTuple):
    """What the step depends on beside the member itself."""

    is_free: Callable[[TopicIdPartition], bool]
    """Whether nobody but the member owns a partition."""
    subscribed: Collection[UUID]
    """Topics that the member reads now."""
    subscription_changed: bool
    owned: Collection[TopicIdPartition] | None
    """What the member says it owns; None where it says nothing."""


def reconcile(
    current: CurrentAssignment, target: Target, around: Surroundings
) -> CurrentAssignment:
    """The assignment after one more step; the same where no step is possible."""
    if current.state is MemberState.STABLE:
        if current.member_epoch != target.epoch:
            return _advance(current, target, around)
        return _drop_unsubscribed(current, around) if around.subscription_changed else current
    if current.state is MemberState.UNREVOKED_PARTITIONS and _still_owns(
        current.revoking, around.owned
    ):
        return _drop_unsubscribed(current, around) if around.subscription_changed else current
    return _advance(current, target, around)


def _still_owns(
    places: Collection[TopicIdPartition], owned: Collection[TopicIdPartition] | None
) -> bool:
    """Until the member says what it owns, it is taken to own everything it had."""
    return owned is None or any(place in places for place in owned)


def _advance(current: CurrentAssignment, target: Target, around: Surroundings) -> CurrentAssignment:
    wanted = {place for place in target.partitions if place[0] in around.subscribed}
    kept = {place: epoch for place, epoch in current.assigned.items() if place in wanted}
    revoked = {place: epoch for place, epoch in current.assigned.items() if place not in wanted}
    if revoked and _still_owns(revoked, around.owned):
        return current._replace(
            state=MemberState.UNREVOKED_PARTITIONS, assigned=kept, revoking=revoked
        )
    missing = wanted - kept.keys()
    granted = {place: target.epoch for place in missing if around.is_free(place)}
    waits = len(granted) < len(missing)
    return CurrentAssignment(
        target.epoch,
        current.member_epoch if current.member_epoch != target.epoch else current.previous_epoch,
        MemberState.UNRELEASED_PARTITIONS if waits else MemberState.STABLE,
        kept | granted,
        {},
    )


def _drop_unsubscribed(current: CurrentAssignment, around: Surroundings) -> CurrentAssignment:
    """Take away at once what the member reads no more; its target follows later."""
    subscribed = around.subscribed
    gone = {place: e for place, e in current.assigned.items() if place[0] not in subscribed}
    if not gone:
        return current
    kept = {place: epoch for place, epoch in current.assigned.items() if place not in gone}
    revoking = {**current.revoking, **gone}
    if _still_owns(revoking, around.owned):
        return current._replace(
            state=MemberState.UNREVOKED_PARTITIONS, assigned=kept, revoking=revoking
        )
    return current._replace(assigned=kept)
