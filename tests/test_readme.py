"""What README.md and docs/ show is run as it stands, in order, and must show what the page says.

``console`` blocks are commands and their output, ``python`` blocks are programs whose output is
the ``text`` block that follows, or tests. Each page has a broker of its own, and each program an
environment with what its first line says and nothing else. Only the addresses are replaced, by
those of a broker on free ports. In an expected output ``...`` stands for anything.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.broker_process import BrokerProcess, environment
from tests.support.fresh_environment import fresh_environment

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NEEDS = re.compile(r"# pip install (.+)\n")
_LINK = re.compile(r"\]\(([^)\s]+)\)")

Interpreter = Callable[[str], str]
"""The Python of an environment with what is named, apart by spaces."""


class Example(NamedTuple):
    """A program, what it prints, and whether it is over once it has printed that."""

    program: list[str]
    output: str
    endless: bool = False


class ATest(NamedTuple):
    """A test module and what runs it."""

    interpreter: str
    runner: str
    text: str


def examples(page: str, interpreter: Interpreter) -> Iterator[Example | ATest]:
    """Everything the page shows that can be run, in its order."""
    blocks = list(_BLOCK.finditer(page))
    for block, following in pairwise([*blocks, None]):
        assert block is not None
        language, text = block.groups()
        if language == "console":
            for command, output in commands(text):
                endless = "curl -sN" in command
                yield Example(["bash", "-euo", "pipefail", "-c", command], output, endless)
        elif language == "python":
            needs = _NEEDS.match(text)
            assert needs is not None, f"what it needs is not told:\n{text}"
            python = interpreter(needs[1].replace(". ", "tidelog ", 1))
            if "def test_" in text:
                yield ATest(python, "unittest" if "unittest" in text else "pytest", text)
                continue
            output = ""
            if following is not None and not page[block.end() : following.start()].strip():
                output = following[2] if following[1] == "text" else ""
            yield Example([python, "-c", text], output)


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a ``console`` block, with its output; a command ends where its quotes do."""
    lines = text.splitlines(keepends=True)
    while lines:
        command = lines.pop(0).removeprefix("$ ")
        while not _is_whole(command):
            command += lines.pop(0)
        output = ""
        while lines and not lines[0].startswith("$ "):
            output += lines.pop(0)
        yield command, output


def _is_whole(command: str) -> bool:
    if command.endswith("\\\n"):
        return False
    try:
        shlex.split(command)
    except ValueError:
        return False
    return True


def run(example: Example, broker: BrokerProcess) -> str:
    """What the example prints, run against the broker."""
    addresses = {"8082": broker.url.rpartition(":")[2], "9092": broker.kafka.rpartition(":")[2]}
    program = [
        re.sub("localhost:(8082|9092)", lambda found: f"127.0.0.1:{addresses[found[1]]}", part)
        for part in example.program
    ]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with subprocess.Popen(
        program,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=broker.data_dir.parent,
        env=environment({"PATH": path, "TIDELOG_SERVER": broker.url}),
    ) as process:
        assert process.stdout is not None
        if not example.endless:
            printed = process.stdout.read()
            assert process.wait(60) == 0, f"{program[-1]}\n{printed}"
            return printed
        count = example.output.count("\n")
        printed = "".join(process.stdout.readline() for _ in range(count))
        process.terminate()
        return printed


def run_test(test: ATest, directory: Path) -> None:
    """It must pass, and be a test."""
    directory.joinpath("test_example.py").write_text(test.text)
    done = subprocess.run(
        [test.interpreter, "-m", test.runner, "test_example.py"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        env=environment({"PYTHONWARNINGS": "ignore"}),
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "1 passed" in said or "Ran 1 test" in said


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Interpreter:
    made: dict[str, str] = {}

    def find(requirements: str) -> str:
        if requirements not in made:
            place = tmp_path_factory.mktemp("environment")
            made[requirements] = str(fresh_environment(place, requirements.split()) / "python")
        return made[requirements]

    return find


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples need curl")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_example_prints_what_the_page_shows(
    start_broker: Callable[..., BrokerProcess],
    interpreter: Interpreter,
    tmp_path: Path,
    page: Path,
) -> None:
    shown = list(examples(page.read_text(), interpreter))
    if not shown:
        return
    broker = start_broker()
    checker = doctest.OutputChecker()
    for example in shown:
        if isinstance(example, ATest):
            run_test(example, tmp_path)
            continue
        wanted, printed = example.output.rstrip(), run(example, broker).rstrip()
        assert checker.check_output(wanted, printed, doctest.ELLIPSIS), (
            f"{example.program[-1]}\nprinted\n{printed}\nbut the page says\n{wanted}"
        )


def test_there_is_something_to_run(interpreter: Interpreter) -> None:
    found = [one for page in PAGES for one in examples(page.read_text(), interpreter)]
    assert len([one for one in found if isinstance(one, ATest)]) >= 4
    assert len(found) >= 30


def test_the_first_page_is_short_and_in_order() -> None:
    text = README.read_text()
    assert len(text.splitlines()) <= 250
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [
        "Install",
        "Ten lines that work",
        "In your tests",
        "Works with",
        "Run it as a service",
        "Guarantees",
        "Limits",
        "License",
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(_BLOCK.sub("", page.read_text())):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), target
        assert not anchor or anchor in _anchors(there.read_text()), target


def _anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", one).strip().lower().replace(" ", "-") for one in headings}


def test_every_page_can_be_found_from_the_first() -> None:
    known, wanted = set[Path](), [README]
    while wanted:
        page = wanted.pop()
        if page in known or page.suffix != ".md":
            continue
        known.add(page)
        for target in _LINK.findall(_BLOCK.sub("", page.read_text())):
            if "://" not in target and not target.startswith("#"):
                wanted.append((page.parent / target.partition("#")[0]).resolve())
    assert {*PAGES} <= known


def test_the_scripts_they_name_are_there() -> None:
    named = {name for page in PAGES for name in re.findall(r"scripts/\w+", page.read_text())}
    assert {"scripts/run", "scripts/test"} <= named
    for script in named:
        assert os.access(ROOT / script, os.X_OK), script
