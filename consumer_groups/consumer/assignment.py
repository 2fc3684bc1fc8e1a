"""Who reads what: ways to share partitions among members. Pure; the same input, the same answer.

Members come as a mapping from their names to the topics they are subscribed to, in the order in
which they are to be served; topics with their number of partitions. A topic may be named by
anything that sorts. Every partition of a subscribed topic gets exactly one owner.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

T = TypeVar("T", bound=Any)

Subscriptions = Mapping[str, Collection[T]]
Partitions = Mapping[T, int]
Assignment = dict[str, list[tuple[T, int]]]


def range_assign(members: Subscriptions[T], topics: Partitions[T]) -> Assignment[T]:
    """Each topic in contiguous ranges, so that topics partitioned alike are owned alike."""
    assigned: Assignment[T] = {member: [] for member in members}
    for topic in sorted(_subscribed(members, topics)):
        readers = [member for member, subscribed in members.items() if topic in subscribed]
        count, extra = divmod(topics[topic], len(readers))
        first = 0
        for position, member in enumerate(readers):
            end = first + count + (position < extra)
            assigned[member] += [(topic, partition) for partition in range(first, end)]
            first = end
    return assigned


def sticky_assign(
    members: Subscriptions[T],
    topics: Partitions[T],
    owned: Mapping[str, Iterable[tuple[T, int]]],
) -> Assignment[T]:
    """As even as subscriptions allow, with as few partitions changing hands as that takes.

    Counts differ by at most one among members with the same subscriptions.
    """
    assigned = _still_valid(members, topics, owned)
    taken = {place for places in assigned.values() for place in places}
    free = [place for place in _places(members, topics) if place not in taken]
    if len({frozenset(subscribed) for subscribed in members.values()}) <= 1:
        _share_evenly(assigned, free)
    else:
        _share_among_readers(members, assigned, free)
    return assigned


def _subscribed(members: Subscriptions[T], topics: Partitions[T]) -> set[T]:
    return {topic for subscribed in members.values() for topic in subscribed if topic in topics}


def _places(members: Subscriptions[T], topics: Partitions[T]) -> list[tuple[T, int]]:
    subscribed = sorted(_subscribed(members, topics))
    return [(topic, partition) for topic in subscribed for partition in range(topics[topic])]


def _still_valid(
    members: Subscriptions[T],
    topics: Partitions[T],
    owned: Mapping[str, Iterable[tuple[T, int]]],
) -> Assignment[T]:
    """What members may keep; of two who claim a partition the first has it."""
    kept: Assignment[T] = {}
    taken: set[tuple[T, int]] = set()
    for member, subscribed in members.items():
        kept[member] = [
            (topic, partition)
            for topic, partition in sorted(set(owned.get(member, ())))
            if topic in subscribed
            and partition < topics.get(topic, 0)
            and (topic, partition) not in taken
        ]
        taken.update(kept[member])
    return kept


def _share_evenly(assigned: Assignment[T], free: list[tuple[T, int]]) -> None:
    """Members that all read the same: everybody gets the quota, some one more."""
    if not assigned:
        return
    total = len(free) + sum(map(len, assigned.values()))
    quota, extra = divmod(total, len(assigned))
    fullest_first = sorted(assigned, key=lambda member: -len(assigned[member]))
    limits = {member: quota + (n < extra) for n, member in enumerate(fullest_first)}
    for member, places in assigned.items():
        free += places[limits[member] :]
        del places[limits[member] :]
    free.sort(reverse=True)
    for member, places in assigned.items():
        while len(places) < limits[member]:
            places.append(free.pop())


def _share_among_readers(
    members: Subscriptions[T], assigned: Assignment[T], free: list[tuple[T, int]]
) -> None:
    """Members that read different topics: give to who has least, then even out what is uneven."""
    readers: dict[T, list[str]] = {}
    for member, subscribed in members.items():
        for topic in subscribed:
            readers.setdefault(topic, []).append(member)
    owner = {place: member for member, places in assigned.items() for place in places}
    load = {member: len(places) for member, places in assigned.items()}
    for place in sorted(free, key=lambda place: (len(readers[place[0]]), place)):
        owner[place] = _least_loaded(readers[place[0]], load)
        load[owner[place]] += 1
    newcomers = set(free)
    candidates = [*free, *(place for place in owner if place not in newcomers)]
    moved = True
    while moved:
        moved = False
        for place in candidates:
            giver, taker = owner[place], _least_loaded(readers[place[0]], load)
            if load[giver] > load[taker] + 1:
                owner[place] = taker
                load[giver] -= 1
                load[taker] += 1
                moved = True
    for places in assigned.values():
        places.clear()
    for place in sorted(owner):
        assigned[owner[place]].append(place)


def _least_loaded(readers: list[str], load: dict[str, int]) -> str:
    return min(readers, key=load.__getitem__)


ServerAssignor = Callable[[Subscriptions[Any], Partitions[Any], Mapping[str, Any]], Any]

SERVER_ASSIGNORS: dict[str, ServerAssignor] = {
    "uniform": sticky_assign,
    "range": lambda members, topics, owned: range_assign(members, topics),
}
"""What the new protocol offers (KIP-848), the default first."""
