"""A real nginx in front of a broker, on a socket of its own instead of a port."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

_PLACES = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
_FRAME = """\
pid {directory}/nginx.pid;
error_log {directory}/error.log;
{user}
events {{ }}
http {{
    access_log off;
    {places}
    proxy_cache_path {directory}/cache keys_zone=pages:1m;
    server {{
        listen unix:{directory}/socket;
{locations}
    }}
}}
"""


class Nginx:
    """``url`` is what a browser would be shown."""

    url = "http://log.example"

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "socket"
        self._errors = directory / "error.log"

    def client(self, **options: Any) -> httpx.Client:
        transport = httpx.HTTPTransport(uds=str(self.socket))
        return httpx.Client(base_url=self.url, transport=transport, timeout=60, **options)

    @property
    def errors(self) -> str:
        """What it has to say of the broker."""
        return self._errors.read_text()


@contextmanager
def nginx(locations: str) -> Iterator[Nginx]:
    """Runs it with these ``location`` blocks; skips where it is not installed."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("nginx is not here")
    # The path of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="nginx-") as name:
        directory = Path(name)
        places = [f"{place}_temp_path {directory}/{place};" for place in _PLACES]
        user = "user root;" if os.geteuid() == 0 else ""
        config = directory / "nginx.conf"
        config.write_text(
            _FRAME.format(
                directory=directory, user=user, places=" ".join(places), locations=locations
            )
        )
        command = [program, "-e", f"{directory}/error.log", "-c", str(config)]
        # It goes to the background once it listens.
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        try:
            yield Nginx(directory)
        finally:
            subprocess.run([*command, "-s", "stop"], check=True, capture_output=True, timeout=60)
