"""Seeded chaos among the members of a group; ``TIDELOG_SEED=n`` repeats one run."""

from __future__ import annotations

import os

import pytest

from tests.support.group_simulation import GroupSimulation

SEEDS = [int(os.environ["TIDELOG_SEED"])] if "TIDELOG_SEED" in os.environ else range(60)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_few_members_in_chaos(seed: int) -> None:
    run(seed, consumers=6, steps=1_500)


@pytest.mark.parametrize("seed", [seed for seed in SEEDS if seed % 20 == 0] or SEEDS)
def test_hundreds_of_members_in_chaos(seed: int) -> None:
    run(seed, consumers=300, steps=400)


def run(seed: int, consumers: int, steps: int) -> None:
    try:
        GroupSimulation(seed, consumers).run(steps)
    except Exception as error:
        repeat = f"TIDELOG_SEED={seed} pytest tests/simulation/test_groups.py"
        raise AssertionError(f"{error or type(error).__name__}; repeat with {repeat}") from error
