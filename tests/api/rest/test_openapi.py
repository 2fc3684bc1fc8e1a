"""The whole OpenAPI, called as it is described: no 5xx, nothing that is not described.

The calls are schemathesis's, the same every time: one of each kind at the bounds of every
parameter, and some at random. Its hooks are in ``tests/support/schemathesis_hooks.py``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.support.broker_process import BrokerProcess

_HOOKS = Path(__file__).parents[2] / "support" / "schemathesis_hooks.py"
_CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
)


@pytest.mark.parametrize("phase", ["examples,coverage", "fuzzing"])
def test_every_answer_is_described(
    start_broker: Callable[..., BrokerProcess], tmp_path: Path, phase: str
) -> None:
    """On a broker of its own: among the calls is one that takes all memory from the cache."""
    broker = start_broker()
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("schemathesis"), "run", f"{broker.url}/openapi.json"),
            *("--checks", ",".join(_CHECKS), "--phases", phase, "--max-examples", "8"),
            *("--generation-deterministic", "--continue-on-failure", "--request-timeout", "30"),
            *("--suppress-health-check", "all", "--warnings", "off", "--no-color"),
        ],
        cwd=tmp_path,
        env={**os.environ, "SCHEMATHESIS_HOOKS": str(_HOOKS)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/topics", "GET, HEAD, POST"),
        ("PUT", "/v1/topics/t/records", "GET, HEAD, POST"),
        ("POST", "/v1/topics/t/partitions/0/records", "DELETE, GET, HEAD"),
        ("POST", "/v1/topics/t/i/partitions/0/pages/0", "GET, HEAD"),
    ],
)
def test_what_else_a_path_allows(http: httpx.Client, method: str, path: str, allowed: str) -> None:
    answer = http.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert answer.json()["error"]["code"] == "method_not_allowed"


def test_a_path_that_is_none(http: httpx.Client) -> None:
    answer = http.get("/v2/topics")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
