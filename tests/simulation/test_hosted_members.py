"""Seeded chaos among HTTP members of one group; ``TIDELOG_SEED=n`` repeats one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.hosted_simulation import HostedSimulation

SEEDS = [int(os.environ["TIDELOG_SEED"])] if "TIDELOG_SEED" in os.environ else range(5)


@pytest.mark.parametrize("seed", SEEDS)
async def test_callers_in_chaos(tmp_path: Path, seed: int) -> None:
    try:
        await HostedSimulation(tmp_path / "data", seed).run(300)
    except Exception as error:
        repeat = f"TIDELOG_SEED={seed} pytest tests/simulation/test_hosted_members.py"
        raise AssertionError(f"{error or type(error).__name__}; repeat with {repeat}") from error
