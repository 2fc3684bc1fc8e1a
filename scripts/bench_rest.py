"""`scripts/bench rest`: HTTP produce and fetch, beside a bare FastAPI application.

The load comes from wrk (Debian: wrk). The application beside it answers with the body it was
sent, by FastAPI, uvicorn, uvloop and httptools, as Tidelog's is. Both take turns; figures are
medians over the rounds.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench_brokers import Tidelog

ECHO = """
import socket, uvicorn
from fastapi import FastAPI, Request, Response
app = FastAPI()
@app.post("/")
async def echo(request: Request) -> Response:
    return Response(await request.body(), media_type="application/json")
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
server = uvicorn.Server(uvicorn.Config(app, loop="uvloop", http="httptools", access_log=False,
                                       log_level="error"))
server.run([listener])
"""
LUA = """
local body, paths, n = %(body)s, %(paths)s, 0
local headers = {["Content-Type"] = "application/json"}
request = function()
  n = n + 1
  if %(once)s and n > %(count)d then wrk.thread:stop() end
  return wrk.format(%(method)s, paths(n), headers, body)
end
done = function(summary)
  local e = summary.errors
  io.write(string.format('\\n{"requests": %%d, "us": %%d, "errors": %%d}\\n', summary.requests,
    summary.duration, e.connect + e.read + e.write + e.status + e.timeout))
end
"""
SINGLE = {"records": [{"key": "user-1", "value": {"page": "/index.html", "ms": 12}}]}
BATCH, PARTITIONS, LOADED = 1000, 12, 2_000_000


def keyed_batch() -> dict[str, object]:
    return {
        "records": [
            {"key": f"user-{n % 997}", "value": {"page": "/index.html", "ms": n, "ok": True}}
            for n in range(BATCH)
        ]
    }


class Wrk:
    """Runs wrk against one path, or against numbered ones, each asked for once."""

    def __init__(self, directory: Path, seconds: int) -> None:
        self._script = directory / "load.lua"
        self._seconds = seconds

    def requests_per_second(
        self,
        base: str,
        path: str,
        *,
        connections: int,
        body: object = None,
        count: int = 1,
        step: int = 0,
        once: bool = False,
    ) -> float:
        """``path`` may have one ``%d``: the number of the request, up to ``count``, by ``step``."""
        text = "nil" if body is None else f"[==[{json.dumps(body)}]==]"
        number = f"(n - 1) % {count} * {step}"
        script = LUA % {
            "body": text,
            "paths": f"function(n) return string.format([==[{path}]==], {number}) end",
            "method": '"GET"' if body is None else '"POST"',
            "once": "true" if once else "false",
            "count": count,
        }
        self._script.write_text(script)
        done = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{self._seconds}s", "-s", self._script, base],
            capture_output=True,
            text=True,
            check=True,
        )
        found = json.loads(done.stdout.splitlines()[-1])
        if found["errors"]:
            sys.exit(f"{path}: {found['errors']} requests failed")
        rate: float = found["requests"] / (found["us"] / 1e6)
        return rate


@contextmanager
def echo() -> Iterator[str]:
    process = subprocess.Popen([sys.executable, "-c", ECHO], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def call(base: str, path: str, body: object) -> None:
    request = urllib.request.Request(
        base + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as response:
        response.read()


class Bench:
    def __init__(self, wrk: Wrk, tidelog: str, beside: str) -> None:
        self._wrk, self._tidelog, self._beside = wrk, tidelog, beside
        self._rounds = 0
        self.figures: dict[str, list[float]] = defaultdict(list)

    def _topic(self, name: str, partitions: int) -> str:
        name = f"{name}-{self._rounds}"
        call(self._tidelog, "/v1/topics", {"name": name, "partitions": partitions})
        return f"/v1/topics/{name}"

    def round(self) -> None:
        self._rounds += 1
        rate = self._wrk.requests_per_second
        topic = self._topic("single", 1)
        for _ in range(2):
            self._note("echo", rate(self._beside, "/", connections=32, body=SINGLE))
            for acks in ("1", "all"):
                path = f"{topic}/records?acks={acks}"
                found = rate(self._tidelog, path, connections=32, body=SINGLE)
                self._note(f"produce one record, acks={acks}", found)
        path = f"{self._topic('batches', PARTITIONS)}/records?acks=1"
        found = rate(self._tidelog, path, connections=4, body=keyed_batch())
        self._note("produce batches of 1,000", found * BATCH)
        self._fetch()

    def _fetch(self) -> None:
        rate = self._wrk.requests_per_second
        topic = self._topic("fetched", 1)
        batch = keyed_batch()
        for _ in range(LOADED // BATCH):
            call(self._tidelog, f"{topic}/records?acks=1", batch)
        path = f"{topic}/partitions/0/records?max_records=1000&offset=%d"
        pages = LOADED // BATCH
        fresh = rate(self._tidelog, path, connections=4, count=pages, step=BATCH, once=True)
        self._note("fetch, rendered for the first time", fresh * BATCH)
        again = rate(self._tidelog, path, connections=4, count=20, step=BATCH)
        self._note("fetch, from rendered pages", again * BATCH)

    def _note(self, what: str, figure: float) -> None:
        self.figures[what].append(figure)

    def report(self) -> None:
        medians = {what: statistics.median(figures) for what, figures in self.figures.items()}
        for what, figure in medians.items():
            unit = "requests/s" if "one" in what or what == "echo" else "records/s"
            times = f"{figure / medians['echo']:5.2f} times the echo" if "one" in what else ""
            print(f"{what:38} {figure:12,.0f} {unit:11} {times}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench rest", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement")
    given = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("needs wrk (Debian: wrk)")
    with tempfile.TemporaryDirectory(prefix="tidelog-bench-") as directory, echo() as beside:
        tidelog = Tidelog(Path(directory))
        try:
            bench = Bench(Wrk(Path(directory), given.seconds), tidelog.http, beside)
            for number in range(given.rounds):
                print(f"round {number + 1} of {given.rounds}", file=sys.stderr)
                bench.round()
            bench.report()
        finally:
            tidelog.stop()


if __name__ == "__main__":
    main()
