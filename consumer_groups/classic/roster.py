"""Who is in a classic group: members, static instance ids, those still to join, and the leader.

Invariants: the leader is a member, and there is one exactly when there are members; an instance id
belongs to one member; at least one protocol is spoken by all members.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from tidelog.consumer_groups.classic.classic_member import Member, Protocols, Ticket
from tidelog.consumer_groups.errors import FencedInstance, UnknownMember


class Roster:
    def __init__(self, group: str) -> None:
        self._group = group
        self._members: dict[str, Member] = {}
        self._static: dict[str, str] = {}
        self._speakers: Counter[str] = Counter()
        self._joining = 0
        self.leader: str | None = None
        self.pending: dict[str, int] = {}
        """Member ids given out and not yet joined with, and until when they are good."""
        self.unsynced: set[str] = set()
        """Members that have not asked for their assignment in this generation."""

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    def __contains__(self, member_id: str) -> bool:
        return member_id in self._members

    def __getitem__(self, member_id: str) -> Member:
        return self._members[member_id]

    @property
    def joining_count(self) -> int:
        return self._joining

    @property
    def all_joined(self) -> bool:
        return self._joining == len(self._members) and not self.pending

    def static_member(self, instance_id: str) -> Member | None:
        member_id = self._static.get(instance_id)
        return None if member_id is None else self._members[member_id]

    def check(self, member_id: str, instance_id: str | None) -> Member:
        """The member of that name. Raises UnknownMember or FencedInstance."""
        if instance_id is not None:
            current = self._static.get(instance_id)
            if current is not None and current != member_id:
                raise FencedInstance(self._group, instance_id)
            if current is None:
                raise UnknownMember(self._group, member_id)
        member = self._members.get(member_id)
        if member is None:
            raise UnknownMember(self._group, member_id)
        return member

    def add(self, member: Member) -> None:
        self._members[member.member_id] = member
        if member.instance_id is not None:
            self._static[member.instance_id] = member.member_id
        self._speakers.update(name for name, _ in member.protocols)
        self._joining += member.joining is not None
        self.pending.pop(member.member_id, None)
        if self.leader is None:
            self.leader = member.member_id

    def remove(self, member_id: str) -> None:
        self.pending.pop(member_id, None)
        self.unsynced.discard(member_id)
        member = self._members.pop(member_id, None)
        if member is None:
            return
        self._speakers.subtract(name for name, _ in member.protocols)
        self._joining -= member.joining is not None
        if member.instance_id is not None:
            del self._static[member.instance_id]
        if self.leader == member_id:
            self.leader = next(iter(self._members), None)

    def rename(self, member: Member, new_member_id: str) -> None:
        """A static member came back under a new id; it keeps its place and its leadership."""
        renamed = {
            new_member_id if member_id == member.member_id else member_id: entry
            for member_id, entry in self._members.items()
        }
        self._members = renamed
        if self.leader == member.member_id:
            self.leader = new_member_id
        if member.member_id in self.unsynced:
            self.unsynced.remove(member.member_id)
            self.unsynced.add(new_member_id)
        if member.instance_id is not None:
            self._static[member.instance_id] = new_member_id
        member.member_id = new_member_id

    def set_joining(self, member: Member, ticket: Ticket | None) -> None:
        self._joining += (ticket is not None) - (member.joining is not None)
        member.joining = ticket

    def set_protocols(self, member: Member, protocols: Protocols) -> None:
        self._speakers.subtract(name for name, _ in member.protocols)
        self._speakers.update(name for name, _ in protocols)
        member.protocols = protocols

    def elect(self) -> bool:
        """Make sure that the leader is somebody who joins; False where nobody does."""
        if self.leader is not None and self._members[self.leader].joining is not None:
            return True
        joined = next((member for member in self if member.joining is not None), None)
        if joined is None:
            return False
        self.leader = joined.member_id
        return True

    def agrees_with(self, names: Iterable[str]) -> bool:
        """Whether one of the protocols is spoken by every member."""
        return any(self._speakers[name] == len(self._members) for name in names)

    def select_protocol(self) -> str:
        """The protocol that all speak and that most of the members put first."""
        everybody = len(self._members)
        candidates = frozenset(n for n, count in self._speakers.items() if count == everybody)
        votes = Counter(member.vote(candidates) for member in self)
        return votes.most_common(1)[0][0]

    def rebalance_timeout_ms(self) -> int:
        return max((member.rebalance_timeout_ms for member in self), default=0)
