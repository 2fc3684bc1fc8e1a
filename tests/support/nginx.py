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
_STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
_TOP = """\
pid DIRECTORY/nginx.pid;
error_log DIRECTORY/error.log;
events { }
"""
_HTTP = """\
access_log off;
proxy_cache_path DIRECTORY/cache keys_zone=pages:1m;
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
    with nginx_with(f"server {{\nlisten unix:DIRECTORY/socket;\n{locations}\n}}") as running:
        yield running


@contextmanager
def nginx_with(servers: str, *, stream: str = "") -> Iterator[Nginx]:
    """Runs it with these ``server`` blocks, and a ``stream`` block where that can be had.

    DIRECTORY is written for that of its sockets.
    """
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("nginx is not here")
    # The path of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="nginx-") as name:
        directory = Path(name)
        config = directory / "nginx.conf"
        config.write_text(_whole(servers, stream).replace("DIRECTORY", name))
        command = [program, "-e", f"{directory}/error.log", "-c", str(config)]
        # It goes to the background once it listens.
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        try:
            yield Nginx(directory)
        finally:
            subprocess.run([*command, "-s", "stop"], check=True, capture_output=True, timeout=60)


def _whole(servers: str, stream: str) -> str:
    top = _TOP
    if os.geteuid() == 0:
        top += "user root;\n"
    if stream and _STREAM_MODULE.exists():
        top = f"load_module {_STREAM_MODULE};\n{top}"
    places = "\n".join(f"{place}_temp_path DIRECTORY/{place};" for place in _PLACES)
    return f"{top}{stream}\nhttp {{\n{_HTTP}{places}\n{servers}\n}}\n"
