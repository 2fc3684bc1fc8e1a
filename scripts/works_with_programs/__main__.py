"""The command behind ``scripts/works_with``."""

from __future__ import annotations

import argparse
import datetime
import os
import re
import sys
import tempfile
import traceback
from pathlib import Path

from http_programs import HTTP
from java_programs import JAVA
from other_clients import OTHERS
from program import Failed, Program, Site
from python_programs import PYTHON, SPARK

import tidelog
from tidelog.testing import TidelogBroker

README = Path(__file__).resolve().parent.parent.parent / "README.md"
BEGIN = "<!-- works with: written by scripts/works_with -->\n"
END = "<!-- end of works with -->\n"
PROGRAMS = (*PYTHON, *OTHERS, *JAVA, SPARK, *HTTP)
_ROW = re.compile(r"^\| (.*?) \| (.*?) \| (.*?) \|$", re.MULTILINE)


def main() -> int:
    """Run the programs; 0 when each of them did its round trip."""
    parser = argparse.ArgumentParser(prog="scripts/works_with")
    parser.add_argument("names", nargs="*", metavar="program", help="a part of a name, any case")
    parser.add_argument("--list", action="store_true", help="tell their names and end")
    parser.add_argument("--keep", action="store_true", help="leave README.md as it is")
    given = parser.parse_args()
    if given.list:
        print(*(program.name for program in PROGRAMS), sep="\n")
        return 0
    chosen = [one for one in PROGRAMS if not given.names or _is_meant(one, given.names)]
    if not chosen:
        parser.error(f"no program is called {' or '.join(given.names)}")
    versions: dict[str, str | None] = {}
    with TidelogBroker(settings={"flush.mode": "fsync"}) as broker:
        for number, program in enumerate(chosen):
            lacking = program.missing()
            if lacking:
                print(f"{program.name}: skipped, {' and '.join(lacking)} not found", flush=True)
                continue
            versions[program.name] = _try(program, broker, f"works-with-{number}")
    if not given.keep:
        README.write_text(_renewed(README.read_text(), versions))
    return 1 if None in versions.values() else 0


def _is_meant(program: Program, names: list[str]) -> bool:
    return any(name.lower() in program.name.lower() for name in names)


def _try(program: Program, broker: TidelogBroker, name: str) -> str | None:
    """The version that did its round trip, None where that failed."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tidelog-works-with"
    with tempfile.TemporaryDirectory(prefix="tidelog-works-with-") as directory:
        topics = [broker.create_topic(f"{name}-{role}", 1) for role in ("source", "target")]
        site = Site(broker.http, broker.kafka, Path(directory), cache, *topics)
        try:
            version = program.run(site)
        except Exception as error:
            if not isinstance(error, Failed):
                traceback.print_exc()
            print(f"{program.name}: FAILED, {error}", flush=True)
            return None
    print(f"{program.name} {version}: {program.text}", flush=True)
    return version


def _renewed(page: str, versions: dict[str, str | None]) -> str:
    """The page with the rows of those that ran; the others' stay, a failure takes one away."""
    before, begin, rest = page.partition(BEGIN)
    present, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"{README} has no place for the table: {BEGIN.strip()}")
    kept = {name: version for name, version, _ in _ROW.findall(present)}
    known = {**kept, **versions}
    lines = ["| program | version | what it did |", "|---|---|---|"]
    for program in PROGRAMS:
        version = known.get(program.name)
        if version is not None:
            lines.append(f"| {program.name} | {version} | {program.text} |")
    ran = f"Tidelog {tidelog.__version__}, {datetime.date.today():%B %Y}."
    return before + begin + "\n".join([*lines, "", ran]) + "\n" + end + after


if __name__ == "__main__":
    raise SystemExit(main())
