"""Sources of other projects, fetched by the package clients once and kept in the cache."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path


def python_source(requirement: str, cache: Path) -> Path:
    """The unpacked source distribution of a pinned requirement."""

    def download(directory: Path) -> None:
        subprocess.run(
            [
                *(sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-deps"),
                *("--disable-pip-version-check", "--no-binary", ":all:"),
                *("--no-build-isolation", "--dest", str(directory), requirement),
            ],
            check=True,
        )

    return _unpacked(cache / requirement.replace("==", "-"), download)


def node_source(package: str, cache: Path) -> Path:
    """The unpacked npm package ``name@version``."""

    def download(directory: Path) -> None:
        subprocess.run(
            ["npm", "pack", "--silent", "--pack-destination", str(directory), package],
            check=True,
            stdout=subprocess.DEVNULL,
        )

    return _unpacked(cache / package.rsplit("/", 1)[-1].replace("@", "-"), download)


def virtual_environment(name: str, requirements: list[str], cache: Path) -> Path:
    """The Python of a virtual environment with these requirements."""
    directory = cache / f"{name}-environment"
    python = directory / "bin" / "python"
    stamp = directory / "requirements"
    wanted = "\n".join(requirements)
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(directory, ignore_errors=True)
        subprocess.run([sys.executable, "-P", "-m", "venv", str(directory)], check=True)
        subprocess.run(
            [
                *(str(python), "-m", "pip", "install", "--quiet"),
                *("--disable-pip-version-check", *requirements),
            ],
            check=True,
        )
        stamp.write_text(wanted)
    return python


def _unpacked(kept: Path, download: Callable[[Path], None]) -> Path:
    """The one folder of the archive that ``download`` puts into a directory."""
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as temporary:
            directory = Path(temporary)
            download(directory)
            (archive,) = directory.iterdir()
            with tarfile.open(archive) as packed:
                packed.extractall(directory / "unpacked", filter="data")
            (folder,) = (directory / "unpacked").iterdir()
            folder.rename(kept)
    return kept
