"""A certificate that signs itself, made by OpenSSL's own program."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Certificate:
    """Of a host, and the authority that it is signed by."""

    chain: Path
    key: Path

    def client_context(self) -> ssl.SSLContext:
        """Trusts it alone."""
        return ssl.create_default_context(cafile=str(self.chain))


def certify(host: str, directory: Path) -> Certificate:
    """Skips where there is no OpenSSL."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not here")
    made = Certificate(directory / "fullchain.pem", directory / "key.pem")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", f"/CN={host}"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-addext", f"subjectAltName=DNS:{host}"),
            *("-keyout", str(made.key), "-out", str(made.chain)),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return made
