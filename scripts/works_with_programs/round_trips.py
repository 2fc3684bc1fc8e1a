"""The two round trips, looked at from the other side: over HTTP."""

from __future__ import annotations

import signal
import subprocess
import time
from typing import Any

from program import COUNT, PATIENCE_S, Failed, Site, finish

CLIENT = "produce, consume in a group, commit"
PROCESSOR = "copies a topic to another one, in capitals"


def client(site: Site, command: list[str], **options: Any) -> None:
    """A program that writes records, reads them in a group, commits and ends."""
    finish([*command, site.bootstrap, site.source, site.group], **options)
    values = sorted(site.values(site.source))
    if values != sorted(f"value {n}" for n in range(COUNT)):
        raise Failed(f"{len(values)} records were written, or others than should be")
    group = site.ask(f"/v1/groups/{site.group}")
    committed = [one["committed_offset"] for one in group["lag"] if one["topic"] == site.source]
    if committed != [COUNT]:
        raise Failed(f"the group has committed {committed}")


def processor(site: Site, command: list[str], *, arguments: bool = True, **options: Any) -> None:
    """A program that runs on and copies all there is; without ``arguments`` it knows what."""
    if arguments:
        site.fill()
        command = [*command, site.bootstrap, site.source, site.target, site.group]
    log = site.directory / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, **options
        )
        try:
            _wait_for_copies(site, process)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for_copies(site: Site, process: subprocess.Popen[bytes]) -> None:
    wanted = sorted(f"VALUE {n}" for n in range(COUNT))
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        values = sorted(site.values(site.target, wait_ms=2000))
        time.sleep(0.2)
        if values == wanted:
            return
        if len(values) >= COUNT:
            raise Failed("the copies are others than should be")
        if process.poll() not in (None, 0):
            log = (site.directory / "log").read_text().strip().splitlines() or ["no reason given"]
            raise Failed(f"status {process.returncode}: {log[-1]}")
    raise Failed(f"{len(site.values(site.target))} of {COUNT} records within {PATIENCE_S} s")
