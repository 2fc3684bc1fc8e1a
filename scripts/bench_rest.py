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

from bench_brokers import Tidelog, add_against, checkouts

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
    """``brokers`` are URLs by name, which take turns with the application at ``beside``."""

    def __init__(self, wrk: Wrk, brokers: dict[str, str], beside: str) -> None:
        self._wrk, self._brokers, self._beside = wrk, brokers, beside
        self._rounds = 0
        self.figures: dict[str, dict[str, list[float]]] = {
            name: defaultdict(list) for name in brokers
        }

    def _topic(self, url: str, name: str, partitions: int) -> str:
        name = f"{name}-{self._rounds}"
        call(url, "/v1/topics", {"name": name, "partitions": partitions})
        return f"/v1/topics/{name}"

    def round(self) -> None:
        """Everything once by everybody; small requests twice, for the turns to be short."""
        self._rounds += 1
        for turn in range(2):
            for name, url in self._brokers.items():
                self._single(name, url, new=not turn)
        for name, url in self._brokers.items():
            path = f"{self._topic(url, 'batches', PARTITIONS)}/records?acks=1"
            rate = self._wrk.requests_per_second(url, path, connections=4, body=keyed_batch())
            self._note(name, "produce batches of 1,000", rate * BATCH)
        for name, url in self._brokers.items():
            self._fetch(name, url)

    def _single(self, name: str, url: str, *, new: bool) -> None:
        rate = self._wrk.requests_per_second
        topic = self._topic(url, "single", 1) if new else f"/v1/topics/single-{self._rounds}"
        self._note(name, "echo", rate(self._beside, "/", connections=32, body=SINGLE))
        for acks in ("1", "all"):
            found = rate(url, f"{topic}/records?acks={acks}", connections=32, body=SINGLE)
            self._note(name, f"produce one record, acks={acks}", found)

    def _fetch(self, name: str, url: str) -> None:
        rate = self._wrk.requests_per_second
        topic = self._topic(url, "fetched", 1)
        batch = keyed_batch()
        for _ in range(LOADED // BATCH):
            call(url, f"{topic}/records?acks=1", batch)
        path = f"{topic}/partitions/0/records?max_records=1000&offset=%d"
        pages = LOADED // BATCH
        fresh = rate(url, path, connections=4, count=pages, step=BATCH, once=True)
        self._note(name, "fetch, rendered for the first time", fresh * BATCH)
        again = rate(url, path, connections=4, count=20, step=BATCH)
        self._note(name, "fetch, from rendered pages", again * BATCH)

    def _note(self, name: str, what: str, figure: float) -> None:
        self.figures[name][what].append(figure)

    def report(self) -> None:
        """Medians; of a checkout that is compared with, how many times as fast this one is."""
        medians = {
            name: {what: statistics.median(found) for what, found in figures.items()}
            for name, figures in self.figures.items()
        }
        own = next(iter(medians.values()))
        for name, figures in medians.items():
            print(name)
            for what, figure in figures.items():
                unit = "requests/s" if "one" in what or what == "echo" else "records/s"
                notes = []
                if "one" in what:
                    notes.append(f"{figure / figures['echo']:5.2f} times the echo")
                if figures is not own:
                    notes.append(f"this checkout is {own[what] / figure:4.2f} times as fast")
                print(f"  {what:38} {figure:12,.0f} {unit:11} {', '.join(notes)}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench rest", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement")
    add_against(parser)
    given = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("needs wrk (Debian: wrk)")
    with tempfile.TemporaryDirectory(prefix="tidelog-bench-") as directory, echo() as beside:
        brokers = [Tidelog(Path(directory), checkout=one) for one in checkouts(given.against)]
        try:
            urls = {broker.name: broker.http for broker in brokers}
            bench = Bench(Wrk(Path(directory), given.seconds), urls, beside)
            for number in range(given.rounds):
                print(f"round {number + 1} of {given.rounds}", file=sys.stderr)
                bench.round()
            bench.report()
        finally:
            for broker in brokers:
                broker.stop()


if __name__ == "__main__":
    main()
