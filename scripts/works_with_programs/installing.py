"""Programs of others, from the package registries, kept in the cache by what they are made of."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from program import SOURCES, finish

BUILD_S = 1200


def python_environment(cache: Path, name: str, *requirements: str) -> Path:
    """The Python of a virtual environment with these requirements."""

    def make(directory: Path) -> None:
        subprocess.run([sys.executable, "-P", "-m", "venv", str(directory)], check=True)
        pip = [str(directory / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        finish([*pip, "--disable-pip-version-check", *requirements])

    return _made(cache / f"python-{name}", requirements, make) / "bin" / "python"


def python_version(python: Path, distribution: str) -> str:
    code = f"from importlib.metadata import version; print(version({distribution!r}))"
    return finish([str(python), "-c", code]).strip()


def node_modules(cache: Path, package: str) -> tuple[Path, str]:
    """A directory of modules with a package of npm, and its version."""

    def make(directory: Path) -> None:
        directory.mkdir(parents=True)
        flags = ("--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
        finish(["npm", "install", "--prefix", str(directory), *flags, package])

    name = package.replace("/", "-").removeprefix("@")
    modules = _made(cache / f"node-{name}", (package,), make) / "node_modules"
    version = json.loads((modules / package / "package.json").read_text())["version"]
    return modules, version


def go_program(cache: Path, source: str, module: str) -> tuple[Path, str]:
    """A program built with the newest version of a module, and that version."""

    def make(directory: Path) -> None:
        directory.mkdir(parents=True)
        shutil.copy(SOURCES / source / "main.go", directory)
        environment = {**os.environ, "GOFLAGS": "-mod=mod"}
        for command in (
            ["go", "mod", "init", "works_with"],
            ["go", "get", f"{module}@latest"],
            ["go", "build", "-o", "program", "."],
        ):
            finish(command, cwd=directory, env=environment)

    text = (SOURCES / source / "main.go").read_text()
    directory = _made(cache / f"go-{source}", (module, text), make)
    listed = finish(["go", "list", "-m", "-f", "{{.Version}}", module], cwd=directory)
    return directory / "program", listed.strip().removeprefix("v")


def rust_program(cache: Path, source: str, crate: str) -> tuple[Path, str]:
    """A program built with the newest version of a crate, and that version."""

    def make(directory: Path) -> None:
        shutil.copytree(SOURCES / source, directory)
        finish(["cargo", "build", "--quiet"], patience_s=BUILD_S, cwd=directory)

    text = (SOURCES / source / "src" / "main.rs").read_text()
    directory = _made(cache / f"rust-{source}", (crate, text), make)
    told = finish(["cargo", "tree", "--depth", "1", "--prefix", "none"], cwd=directory)
    (version,) = re.findall(rf"^{crate} v(\S+)", told, re.MULTILINE)
    return directory / "target" / "debug" / "works-with", version


def jars(cache: Path, name: str, *artifacts: str) -> str:
    """The class path of artifacts of Maven Central, each ``group:artifact:version``."""

    def make(directory: Path) -> None:
        directory.mkdir(parents=True)
        dependencies = "".join(
            f"<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>"
            f"<version>{version}</version></dependency>"
            for group, artifact, version in (one.split(":") for one in artifacts)
        )
        (directory / "pom.xml").write_text(
            '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
            "<groupId>works.with</groupId><artifactId>programs</artifactId><version>1</version>"
            f"<dependencies>{dependencies}</dependencies></project>"
        )
        goal = ["dependency:copy-dependencies", "-DoutputDirectory=jars"]
        finish(["mvn", "-q", "-B", *goal], cwd=directory)

    return f"{_made(cache / f'java-{name}', artifacts, make) / 'jars'}/*"


def _made(directory: Path, wanted: tuple[str, ...], make: Callable[[Path], None]) -> Path:
    """The directory, made anew when it was made of something else or not to its end."""
    stamp = directory.with_suffix(".made")
    text = "\n".join(wanted)
    if not stamp.exists() or stamp.read_text() != text:
        stamp.unlink(missing_ok=True)
        shutil.rmtree(directory, ignore_errors=True)
        directory.parent.mkdir(parents=True, exist_ok=True)
        make(directory)
        stamp.write_text(text)
    return directory
