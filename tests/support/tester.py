"""A process that tests a broker of its own, and is killed."""

from __future__ import annotations

import os
import select
import subprocess
import sys


def check_that_it_ends_with(script: str) -> None:
    """The broker whose process id the script prints is gone once a line has ended the script."""
    tester = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert tester.stdout is not None
    broker = os.pidfd_open(int(tester.stdout.readline()))
    try:
        tester.communicate(b"\n")
        ended, _, _ = select.select([broker], [], [], 30)
        assert ended
    finally:
        os.close(broker)
