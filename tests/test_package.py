"""The wheel: built as an archive of the sources has them, installed alone, tried."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

import tidelog
from tests.support.fresh_environment import link, needed_distributions, variables
from tidelog.testing import TidelogBroker

ROOT = Path(__file__).resolve().parent.parent
PROJECT: dict[str, Any] = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text())["project"]
ROOMS = ("api", "broker", "consumer_groups", "storage")
PACKAGE = Path("scripts/package/tidelog")
TRY_THE_KIT = """
import tidelog
from tidelog.testing import TidelogBroker
with TidelogBroker() as broker:
    print(tidelog.__version__, tidelog.__file__, broker.create_topic("orders"))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy in which links are files with a path in them, as in many an archive."""
    copy = tmp_path_factory.mktemp("sources")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in ROOMS:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    copy.joinpath(PACKAGE).mkdir(parents=True)
    for path in ROOT.joinpath(PACKAGE).iterdir():
        if path.is_symlink():
            copy.joinpath(PACKAGE, path.name).write_text(os.readlink(path))
        elif path.is_file():
            shutil.copy(path, copy / PACKAGE)
    options = ("--no-deps", "--no-build-isolation", "--wheel-dir", str(copy / "dist"))
    pip("wheel", *options, str(copy))
    (built,) = copy.joinpath("dist").iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel and what it says that it needs."""
    place = tmp_path_factory.mktemp("fresh")
    venv.create(place)
    programs = place / "bin"
    pip("--python", str(programs / "python"), "install", "--no-deps", "--no-index", str(wheel))
    link(needed_distributions(PROJECT["dependencies"]), place)
    return programs


def pip(*arguments: str) -> None:
    run(sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments)


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """What it prints; it must go well."""
    done = subprocess.run(
        command, cwd=cwd, env=variables(), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_bytes(archive.read(name))


def test_the_wheel_has_every_module_once_and_nothing_else(wheel: Path) -> None:
    rooms = {f"tidelog/{path.relative_to(ROOT)}" for room in ROOMS for path in modules(ROOT / room)}
    tops = {f"tidelog/{path.name}" for path in ROOT.joinpath(PACKAGE).glob("*.py")}
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
    assert sorted(names) == sorted(rooms | tops | {"tidelog/py.typed"})


def modules(room: Path) -> list[Path]:
    return [path for path in room.rglob("*.py") if "__pycache__" not in path.parts]


def test_the_wheel_describes_itself(wheel: Path) -> None:
    told = metadata(wheel)
    assert told["Name"] == "tidelog"
    assert told["Version"] == PROJECT["version"]
    assert told["Summary"] == PROJECT["description"]
    assert told["License-Expression"] == "Apache-2.0"
    assert told["License-File"] == "LICENSE"
    assert told["Requires-Python"] == ">=3.11"
    assert told["Description-Content-Type"] == "text/markdown"
    assert told.get_payload() == ROOT.joinpath("README.md").read_text()
    assert {"kafka", "pytest"} <= set(told["Keywords"].split(","))
    classifiers = told.get_all("Classifier", [])
    minors = [name.rpartition("3.")[2] for name in classifiers if "Python :: 3." in name]
    assert minors == ["11", "12", "13", "14"]
    assert {"Framework :: Pytest", "Typing :: Typed"} <= set(classifiers)


def test_the_release_is_in_the_changelog() -> None:
    headings = re.findall(r"^## (.*)$", ROOT.joinpath("CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0].partition(" ")[0] == PROJECT["version"]


def test_the_wheel_alone_serves(installed: Path, tmp_path: Path) -> None:
    free = ("--http", "127.0.0.1:0", "--kafka", "127.0.0.1:0")
    broker = subprocess.Popen(
        [installed / "tidelog", "serve", "--until-eof", *free],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert broker.stdout is not None
    try:
        ready = broker.stdout.readline()
        assert ready, (broker.stderr or broker.stdout).read().decode()
        server = ("--server", json.loads(ready)["http"])
        run(installed / "tidelog", "topic", "create", "orders", *server, cwd=tmp_path)
        shown = run(installed / "tidelog", "topic", "list", *server, cwd=tmp_path)
    finally:
        broker.communicate()
    assert "orders" in shown
    assert broker.returncode == 0


@pytest.mark.parametrize("command", [("tidelog",), ("python", "-m", "tidelog")])
def test_each_way_to_start_it_tells_the_version(
    installed: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    program, *rest = command
    told = run(installed / program, *rest, "--version", cwd=tmp_path)
    assert told == f"tidelog {PROJECT['version']}\n"


def test_the_kit_of_the_wheel(installed: Path, tmp_path: Path) -> None:
    version, file, topic = run(installed / "python", "-c", TRY_THE_KIT, cwd=tmp_path).split()
    assert version == PROJECT["version"]
    assert Path(file).is_relative_to(installed.parent)
    assert topic == "orders"


def test_the_version_is_the_only_thing_to_read() -> None:
    assert tidelog.__version__ == PROJECT["version"]
    with pytest.raises(AttributeError, match="module 'tidelog' has no attribute 'version'"):
        tidelog.version  # noqa: B018


def test_the_short_import_is_the_same_class() -> None:
    from tidelog.api import testing

    assert TidelogBroker is testing.TidelogBroker
