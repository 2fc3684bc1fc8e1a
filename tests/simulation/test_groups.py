"""Seeded chaos among the members of a group, of both protocols; ``TIDELOG_SEED=n`` repeats one."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.support.consumer_simulation import ConsumerSimulation
from tests.support.group_simulation import GroupSimulation

SEEDS = [int(os.environ["TIDELOG_SEED"])] if "TIDELOG_SEED" in os.environ else range(60)
FEW_SEEDS = [seed for seed in SEEDS if seed % 20 == 0] or SEEDS
Simulation = Callable[[int, int], GroupSimulation | ConsumerSimulation]

simulations = pytest.mark.parametrize(
    "simulation", [GroupSimulation, ConsumerSimulation], ids=["classic", "new"]
)


@simulations
@pytest.mark.parametrize("seed", SEEDS)
def test_a_few_members_in_chaos(simulation: Simulation, seed: int) -> None:
    run(simulation, seed, consumers=6, steps=800)


@simulations
@pytest.mark.parametrize("seed", FEW_SEEDS)
def test_hundreds_of_members_in_chaos(simulation: Simulation, seed: int) -> None:
    run(simulation, seed, consumers=300, steps=200)


def run(simulation: Simulation, seed: int, consumers: int, steps: int) -> None:
    try:
        simulation(seed, consumers).run(steps)
    except Exception as error:
        repeat = f"TIDELOG_SEED={seed} pytest tests/simulation/test_groups.py"
        raise AssertionError(f"{error or type(error).__name__}; repeat with {repeat}") from error
