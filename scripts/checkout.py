"""The checkout's virtual environment, for scripts that any Python 3 may start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
ROOT = SCRIPTS.parent


def go_on_in(script: Path, *arguments: str) -> None:
    """Set up what is needed and run a script with it in place of this process."""
    done = subprocess.run([SCRIPTS / "setup"])
    if done.returncode != 0:
        sys.exit(done.returncode)
    python = str(ROOT / ".venv" / "bin" / "python")
    os.execv(python, [python, str(script), *arguments])
