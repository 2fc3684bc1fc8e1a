"""A classic member of a group of the new protocol: its requests, translated (KIP-848).

The broker assigns, so there is no leader. JoinGroup is the heartbeat in which a member says what
it owns and takes a step towards its target; SyncGroup brings what it has after that; the answer
to Heartbeat tells it when there is another step to take. A member's generation is its epoch. An
eager consumer owns nothing when it joins, so it is free to take everything in one step; a
cooperative one first gives up, then joins again.

Pure; the rules are those of Apache Kafka.
"""

from __future__ import annotations

from collections.abc import Iterable

from tidelog.consumer_groups.classic.consumer_protocol import Subscription, decode_subscription
from tidelog.consumer_groups.classic.membership import (
    CONSUMER_PROTOCOL_TYPE,
    UNKNOWN_MEMBER_ID,
    HeartbeatRequest,
    JoinReply,
    JoinRequest,
    LeavingMember,
    LeftMember,
    SyncReply,
    SyncRequest,
)
from tidelog.consumer_groups.consumer import migration
from tidelog.consumer_groups.consumer.consumer_group import ConsumerGroup, ConsumerMember, TopicsNow
from tidelog.consumer_groups.consumer.heartbeat import (
    JOIN_EPOCH,
    ConsumerHeartbeat,
    ConsumerHeartbeatReply,
)
from tidelog.consumer_groups.errors import (
    GroupError,
    IllegalGeneration,
    InconsistentProtocol,
    MemberIdRequired,
    RebalanceInProgress,
    UnknownMember,
)
from tidelog.consumer_groups.records.consumer_group_records import ClassicMetadata, MemberState


def heartbeat_of(
    group: ConsumerGroup, request: JoinRequest, new_id: str, topics: TopicsNow
) -> ConsumerHeartbeat:
    """What a join says, in the words of the new protocol; ``new_id`` names a new member.

    Raises InconsistentProtocol, MemberIdRequired, UnknownMember, FencedInstance.
    """
    _check_protocols(group, request)
    member_id = request.member_id
    if member_id == UNKNOWN_MEMBER_ID:
        if request.instance_id is None and request.require_known_member_id:
            raise MemberIdRequired(new_id)
        member_id = new_id
    elif request.instance_id is not None:
        group.check_member(member_id, request.instance_id)
    subscription = _subscription(group, request)
    present = group.members.get(member_id)
    if present is None and subscription.owned:
        # It was given up meanwhile, and so were its partitions.
        raise UnknownMember(group.name, member_id)
    if present is not None and not present.is_classic:
        raise UnknownMember(group.name, member_id)
    by_name = topics.by_name
    return ConsumerHeartbeat(
        group=group.name,
        member_id=member_id,
        member_epoch=JOIN_EPOCH if present is None else present.current.member_epoch,
        instance_id=request.instance_id,
        client_id=request.client_id,
        client_host=request.client_host,
        rebalance_timeout_ms=_rebalance_timeout_ms(request),
        topic_names=subscription.topics,
        owned=tuple(
            (by_name[topic].id, partition)
            for topic, partition in subscription.owned
            if topic in by_name
        ),
        classic=ClassicMetadata(request.session_timeout_ms, request.protocols),
    )


def _rebalance_timeout_ms(request: JoinRequest) -> int:
    """JoinGroup v0 knows only one timeout."""
    if request.rebalance_timeout_ms == -1:
        return request.session_timeout_ms
    return request.rebalance_timeout_ms


def _check_protocols(group: ConsumerGroup, request: JoinRequest) -> None:
    others = [one for one in group.members.values() if one.member_id != request.member_id]
    names = {name for name, _ in request.protocols}
    if request.protocol_type != CONSUMER_PROTOCOL_TYPE or not names:
        raise InconsistentProtocol(group.name, "only consumers can be members of it")
    if any(one.is_classic for one in others) and not names & migration.common_protocols(others):
        raise InconsistentProtocol(
            group.name, f"no protocol of {sorted(names)} is spoken by all other classic members"
        )


def _subscription(group: ConsumerGroup, request: JoinRequest) -> Subscription:
    """What the member reads, from the first of its protocols: all say the same."""
    try:
        return decode_subscription(request.protocols[0][1])
    except ValueError:
        raise InconsistentProtocol(group.name, "the subscription cannot be read") from None


def join_reply(request: JoinRequest, reply: ConsumerHeartbeatReply) -> JoinReply:
    """The member follows: the broker leads."""
    protocol = request.protocols[0][0]
    return JoinReply(reply.member_epoch, CONSUMER_PROTOCOL_TYPE, protocol, "", reply.member_id)


def _protocol(member: ConsumerMember) -> str | None:
    classic = member.subscription.classic
    return None if classic is None else classic.protocols[0][0]


def joined(group: ConsumerGroup, member_id: str, now_ms: int) -> None:
    """It has its rebalance timeout to ask for its assignment."""
    group.took_step(member_id)
    group.await_step(member_id, now_ms)


def sync(group: ConsumerGroup, request: SyncRequest, topics: TopicsNow, now_ms: int) -> SyncReply:
    """What the member has now.

    Raises UnknownMember, FencedInstance, IllegalGeneration, InconsistentProtocol,
    RebalanceInProgress.
    """
    member = _check(group, request.member_id, request.instance_id, request.generation)
    for said, ours in (
        (request.protocol_type, CONSUMER_PROTOCOL_TYPE),
        (request.protocol, _protocol(member)),
    ):
        if said is not None and said != ours:
            raise InconsistentProtocol(group.name, f"protocol is {ours!r}, not {said!r}")
    group.hear(member.member_id, now_ms)
    behind = member.current.member_epoch < group.epoch.epoch
    if behind and member.current.state is not MemberState.UNREVOKED_PARTITIONS:
        group.await_step(member.member_id, now_ms)
        raise RebalanceInProgress(group.name)
    group.took_step(member.member_id)
    assignment = migration.assignment_of(member, topics)
    return SyncReply(CONSUMER_PROTOCOL_TYPE, _protocol(member), assignment)


def beat(group: ConsumerGroup, request: HeartbeatRequest, now_ms: int) -> None:
    """Raises UnknownMember, FencedInstance, IllegalGeneration, RebalanceInProgress."""
    member = _check(group, request.member_id, request.instance_id, request.generation)
    group.hear(member.member_id, now_ms)
    if _has_a_step_to_take(group, member):
        group.await_step(member.member_id, now_ms)
        raise RebalanceInProgress(group.name)


def _has_a_step_to_take(group: ConsumerGroup, member: ConsumerMember) -> bool:
    """It is behind, has to say what it gave up, or can have all that it waited for."""
    current = member.current
    if current.member_epoch < group.epoch.epoch:
        return True
    if current.state is MemberState.UNRELEASED_PARTITIONS:
        target = group.targets.get(member.member_id, frozenset())
        return all(group.owner(place) in (None, member.member_id) for place in target)
    return current.state is MemberState.UNREVOKED_PARTITIONS


def leave(
    group: ConsumerGroup, members: Iterable[LeavingMember]
) -> tuple[list[LeftMember], list[str]]:
    """The answer for each, and the ids of those that go."""
    left: list[LeftMember] = []
    gone: list[str] = []
    for member in members:
        error: GroupError | None = None
        try:
            gone.append(_leaving(group, member))
        except GroupError as refusal:
            error = refusal
        left.append(LeftMember(member.member_id, member.instance_id, error))
    return left, gone


def _leaving(group: ConsumerGroup, member: LeavingMember) -> str:
    """The id of a member that leaves, or that an administrator takes out, classic or not.

    Raises UnknownMember, FencedInstance.
    """
    member_id = member.member_id
    if member_id == UNKNOWN_MEMBER_ID and member.instance_id is not None:
        static = group.static_member(member.instance_id)
        member_id = UNKNOWN_MEMBER_ID if static is None else static.member_id
    return group.check_member(member_id, member.instance_id).member_id


def _check(
    group: ConsumerGroup, member_id: str, instance_id: str | None, generation: int
) -> ConsumerMember:
    member = group.check_member(member_id, instance_id)
    if not member.is_classic:
        raise UnknownMember(group.name, member_id)
    if generation != member.current.member_epoch:
        raise IllegalGeneration(group.name, generation, member.current.member_epoch)
    return member
