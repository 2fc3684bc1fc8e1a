"""What README.md shows is run as it stands, in order, and must show what the page says.

``console`` blocks are commands and their output, ``python`` blocks are programs whose output is
the ``text`` block that follows. Only the addresses are replaced, by those of a broker on free
ports. In an expected output ``...`` stands for anything.
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

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Example(NamedTuple):
    """A program, what it prints, and whether it is over once it has printed that."""

    program: list[str]
    output: str
    endless: bool = False


def examples() -> Iterator[Example]:
    """Everything the page shows that can be run, in its order."""
    blocks = list(_BLOCK.finditer(README))
    for block, following in pairwise([*blocks, None]):
        assert block is not None
        language, text = block.groups()
        if language == "console":
            for command, output in commands(text):
                endless = "curl -sN" in command
                yield Example(["bash", "-euo", "pipefail", "-c", command], output, endless)
        elif language == "python":
            output = ""
            if following is not None and not README[block.end() : following.start()].strip():
                output = following[2] if following[1] == "text" else ""
            yield Example([sys.executable, "-c", text], output)


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
            assert process.wait(60) == 0, program
            return printed
        count = example.output.count("\n")
        printed = "".join(process.stdout.readline() for _ in range(count))
        process.terminate()
        return printed


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples need curl")
def test_every_example_prints_what_the_page_shows(
    start_broker: Callable[..., BrokerProcess],
) -> None:
    broker = start_broker()
    checker = doctest.OutputChecker()
    shown = list(examples())
    assert len(shown) >= 10
    for example in shown:
        wanted, printed = example.output.rstrip(), run(example, broker).rstrip()
        assert checker.check_output(wanted, printed, doctest.ELLIPSIS), (
            f"{example.program[-1]}\nprinted\n{printed}\nbut the page says\n{wanted}"
        )


def test_the_scripts_it_names_are_there() -> None:
    named = set(re.findall(r"^scripts/\w+", README, re.MULTILINE))
    assert {"scripts/run", "scripts/test"} <= named
    for script in named:
        assert os.access(ROOT / script, os.X_OK), script
