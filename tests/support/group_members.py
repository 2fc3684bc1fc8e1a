"""Members of groups as processes: they can be told to leave, killed, stopped and let go on.

What they say is gathered by a thread for each; ``Members.wait`` wakes whenever one says something.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.support.group_member import MemberOptions
from tests.support.kafka_clients.kafkajs import install_kafkajs

PATIENCE_S = 60.0
_ROOT = Path(__file__).resolve().parents[2]
_JAVASCRIPT = Path(__file__).with_name("group_member.js")


class Progress:
    """How far a group has come, by what all its members have said."""

    def __init__(self) -> None:
        self.delivered: Counter[str] = Counter()
        """How often each value was delivered."""
        self._told: dict[int, int] = {}
        self._committed: dict[int, int] = {}

    def tell(self, records: list[tuple[int, int, str]]) -> None:
        self.delivered.update(value for _, _, value in records)
        _advance(self._told, ((partition, offset + 1) for partition, offset, _ in records))

    def commit(self, positions: Iterable[tuple[int, int]]) -> None:
        _advance(self._committed, positions)

    @property
    def uncommitted(self) -> dict[int, int]:
        """The partitions of which more is delivered than committed, and up to which offset."""
        committed = self._committed
        return {n: end for n, end in self._told.items() if committed.get(n, 0) < end}


def _advance(ends: dict[int, int], positions: Iterable[tuple[int, int]]) -> None:
    for partition, offset in positions:
        ends[partition] = max(offset, ends.get(partition, 0))


class MemberProcess:
    """A running member; ``owned`` is what it has said last."""

    def __init__(
        self, options: MemberOptions, changed: threading.Condition, progress: Progress
    ) -> None:
        self.options = options
        self.owned: frozenset[int] = frozenset()
        self.owned_before: list[frozenset[int]] = []
        """All that it ever said to own, in order."""
        self.failed_commits: list[str] = []
        self.ended = False
        self._changed = changed
        self._progress = progress
        self._process = subprocess.Popen(
            _command(options),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=_ROOT,
            env=_environment(options),
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.endswith(b"\n"):
                with self._changed:
                    self._hear(json.loads(line))
                    self._changed.notify_all()
        with self._changed:
            self.owned, self.ended = frozenset(), True
            self._changed.notify_all()

    def _hear(self, said: dict[str, Any]) -> None:
        if "owned" in said:
            self.owned = frozenset(said["owned"])
            self.owned_before.append(self.owned)
        if "records" in said:
            self._progress.tell(said["records"])
        if "committed" in said:
            self._progress.commit(said["committed"])
        if "commit_failed" in said:
            self.failed_commits.append(said["commit_failed"])

    def leave(self) -> None:
        """Tell it to leave and wait until it has. Raises subprocess.TimeoutExpired."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)
        self._end()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE_S)
        self._end()

    def stall(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def _end(self) -> None:
        self._listener.join(PATIENCE_S)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


class Members:
    """All members of one group, those that are gone included."""

    def __init__(self, bootstrap: str, topic: str, group: str) -> None:
        self.all: list[MemberProcess] = []
        self._progress = Progress()
        self._place = {"bootstrap": bootstrap, "topic": topic, "group": group}
        self._changed = threading.Condition()

    @property
    def delivered(self) -> Counter[str]:
        """How often each value was delivered."""
        return self._progress.delivered

    def add(self, library: str, **options: Any) -> MemberProcess:
        """A new member. Raises KafkajsMissing."""
        made = MemberOptions(library=library, **self._place, **options)
        member = MemberProcess(made, self._changed, self._progress)
        self.all.append(member)
        return member

    def wait(self, condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> bool:
        """Whether the condition came true in time."""
        with self._changed:
            return self._changed.wait_for(condition, patience_s)

    def wait_for_owners(self, members: Iterable[MemberProcess], partitions: int) -> None:
        """Until each partition is owned once, and all of these have an even share.

        Uneven shares are those of a group of the new protocol that is still on its way: what a
        member has given up goes to the next at its next heartbeat.
        """
        living = list(members)
        share, left = divmod(partitions, len(living))
        assert not left, f"{partitions} partitions cannot be shared evenly by {len(living)}"

        def is_shared_out() -> bool:
            owned = [partition for one in living for partition in one.owned]
            every = sorted(owned) == list(range(partitions))
            return every and all(len(one.owned) == share for one in living)

        assert self.wait(is_shared_out), {
            n: (one.options.library, sorted(one.owned), one.ended) for n, one in enumerate(living)
        }

    def wait_for_records(self, values: Iterable[str]) -> None:
        """Until each has been delivered at least once."""
        wanted = set(values)
        assert self.wait(lambda: wanted <= self.delivered.keys()), (
            f"{len(wanted - self.delivered.keys())} of {len(wanted)} records were not delivered"
        )

    def wait_for_commits(self) -> None:
        """Until all that has been delivered is committed too.

        From then on a member that dies, stalls or leaves causes nothing to come twice.
        """
        progress = self._progress
        assert self.wait(lambda: not progress.uncommitted), (
            f"delivered and not committed: {progress.uncommitted}, refused commits: "
            f"{[one.failed_commits for one in self.all]}"
        )

    def end(self) -> None:
        for one in self.all:
            if not one.ended:
                one.kill()


def _command(options: MemberOptions) -> list[str]:
    said = json.dumps(asdict(options))
    if options.library == "kafkajs":
        return ["node", str(_JAVASCRIPT), said]
    return [sys.executable, "-m", "tests.support.group_member", said]


def _environment(options: MemberOptions) -> dict[str, str]:
    if options.library != "kafkajs":
        return dict(os.environ)
    return {**os.environ, "NODE_PATH": str(install_kafkajs())}
