"""Some seconds of what ``scripts/chaos`` does for a minute."""

from __future__ import annotations

from tests.support.group_chaos import Plan, run
from tests.support.group_member import BATCH


def test_nothing_is_lost_and_hardly_anything_comes_twice() -> None:
    outcome = run(Plan(seed=3, protocol="mixed", seconds=8, records=4_000))
    assert outcome.lost == 0, outcome.text
    deaths = outcome.events["killed"] + outcome.events["stalled"]
    assert outcome.twice <= 3 * BATCH * deaths, outcome.text
