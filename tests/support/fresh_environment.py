"""A virtual environment that has what was asked for and nothing else, without a network.

What is installed beside these tests is linked into it, with everything that it needs in turn.
"""

from __future__ import annotations

import os
import venv
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement


def fresh_environment(place: Path, requirements: Iterable[str]) -> Path:
    """The directory of its programs; ``requirements`` are as pip takes them."""
    venv.create(place)
    link(needed_distributions(requirements), place)
    return place / "bin"


def link(distributions: Iterable[Distribution], place: Path) -> None:
    """Let an environment have these, those that it has already apart."""
    (packages,) = place.glob("lib/python*/site-packages")
    for top in {file for needed in distributions for file in _top_files(needed)}:
        if not packages.joinpath(top.name).exists():
            packages.joinpath(top.name).symlink_to(top)


def needed_distributions(requirements: Iterable[str]) -> list[Distribution]:
    """Everything that they bring, as it is installed here."""
    found: dict[str, Distribution] = {}
    wanted = [Requirement(text) for text in requirements]
    while wanted:
        one = wanted.pop()
        if one.name.lower() in found or (one.marker and not one.marker.evaluate({"extra": ""})):
            continue
        here = found[one.name.lower()] = distribution(one.name)
        assert one.specifier.contains(here.version)
        wanted += map(Requirement, here.requires or ())
    return list(found.values())


def variables() -> dict[str, str]:
    """This process's, without those that Python heeds."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def _top_files(needed: Distribution) -> Iterator[Path]:
    """What it has laid down in the directory of packages; not its programs."""
    for name in {file.parts[0] for file in needed.files or ()} - {"..", "__pycache__"}:
        yield Path(str(needed.locate_file(name)))
