"""Programs that speak HTTP, and those that stand in front of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from program import COUNT, Failed, Program, Site, finish

_PATH = f"{os.environ['PATH']}:/usr/sbin"


def _curl(site: Site) -> str:
    records = [{"key": f"key {n}", "value": f"value {n}"} for n in range(COUNT)]
    url = f"{site.http}/v1/topics/{site.source}/records"
    curl = ["curl", "-fsS"]
    finish([*curl, "--json", "@-", url], input=json.dumps({"records": records}))
    lines = finish([*curl, "-H", "Accept: application/x-ndjson", url]).splitlines()
    if [json.loads(line)["value"] for line in lines] != [one["value"] for one in records]:
        raise Failed("what curl read is not what it wrote")
    members = f"{site.http}/v1/groups/{site.group}/members"
    joined = json.loads(finish([*curl, "--json", json.dumps({"topics": [site.source]}), members]))
    member = f"{members}/{joined['member_id']}"
    asked = json.dumps({"cursor": joined["cursor"], "wait_ms": 1000, "max_records": COUNT})
    polled = json.loads(finish([*curl, "--json", asked, f"{member}/poll"]))
    if len(polled["records"]) != COUNT:
        raise Failed(f"a poll gave {len(polled['records'])} records")
    finish([*curl, "-X", "DELETE", member])
    return finish(["curl", "--version"]).split()[1]


@contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    """A program that serves on a port, from when it does."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(lambda: _connects(port), "it did not listen", process)
        yield
    finally:
        process.terminate()
        process.wait(30)


def _connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


def _wait(until: Callable[[], bool], otherwise: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        if until():
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise Failed(otherwise)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _page_twice(site: Site, front: str) -> list[str]:
    """What a cache says of an archive page that is asked for twice; both must be the same."""
    records = [{"value": n} for n in range(1001)]
    site.ask(f"/v1/topics/{site.source}/records", {"records": records})
    records = f"{site.http}/v1/topics/{site.source}/partitions/0/records?offset=0"
    with urllib.request.urlopen(records, timeout=60) as answer:
        links = re.findall(r'<([^>]+)>; rel="canonical"', answer.headers["Link"] or "")
    if not links:
        raise Failed("no page holds the first records")
    page = urllib.parse.urljoin(front, links[0])
    bodies, told = [], []
    for _ in range(2):
        with urllib.request.urlopen(page, timeout=60) as answer:
            bodies.append(answer.read())
            told.append(answer.headers["X-Cache"] or "")
    if bodies[0] != bodies[1] or len(json.loads(bodies[0])["records"]) != 1000:
        raise Failed("the page came back changed")
    return told


def _varnish(site: Site) -> str:
    port = _free_port()
    backend = urllib.parse.urlsplit(site.http)
    program = shutil.which("varnishd", path=_PATH) or "varnishd"
    with tempfile.TemporaryDirectory(prefix="varnish-") as name:
        # It reads and runs as users of its own.
        os.chmod(name, 0o755)
        recipe = Path(name, "default.vcl")
        recipe.write_text(
            f'vcl 4.1;\nbackend default {{ .host = "{backend.hostname}"; '
            f'.port = "{backend.port}"; }}\n'
            'sub vcl_deliver { set resp.http.X-Cache = "MISS";\n'
            ' if (obj.hits > 0) { set resp.http.X-Cache = "HIT"; } }\n'
        )
        listen = ["-F", "-a", f"127.0.0.1:{port}", "-f", str(recipe), "-n", f"{name}/instance"]
        with _running([program, *listen, "-s", "malloc,16m"], port):
            told = _page_twice(site, f"http://127.0.0.1:{port}")
    if told != ["MISS", "HIT"]:
        raise Failed(f"the cache said {told}")
    version = subprocess.run([program, "-V"], capture_output=True, text=True).stderr
    return _found(r"varnish-([\d.]+)", version)


def _nginx(site: Site) -> str:
    port = _free_port()
    program = shutil.which("nginx", path=_PATH) or "nginx"
    config = site.directory / "nginx.conf"
    temporary = "".join(
        f"{one}_temp_path {site.directory}/{one};"
        for one in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config.write_text(
        f"daemon off; pid {site.directory}/pid; error_log {site.directory}/errors;\n"
        f"{'user root;' if os.geteuid() == 0 else ''} events {{ }}\n"
        f"http {{ access_log off; {temporary}\n"
        f"proxy_cache_path {site.directory}/pages keys_zone=pages:1m;\n"
        f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass {site.http};\n"
        "proxy_cache pages; add_header X-Cache $upstream_cache_status; } } }\n"
    )
    errors = str(site.directory / "errors")
    with _running([program, "-e", errors, "-c", str(config)], port):
        told = _page_twice(site, f"http://127.0.0.1:{port}")
    if told != ["MISS", "HIT"]:
        raise Failed(f"the cache said {told}")
    version = subprocess.run([program, "-v"], capture_output=True, text=True).stderr
    return _found(r"nginx/([\d.]+)", version)


def _prometheus(site: Site) -> str:
    site.fill()
    port = _free_port()
    target = urllib.parse.urlsplit(site.http).netloc
    config = site.directory / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\nscrape_configs:\n"
        f"- {{job_name: tidelog, static_configs: [{{targets: ['{target}']}}]}}\n"
    )
    listen = f"--web.listen-address=127.0.0.1:{port}"
    data = f"--storage.tsdb.path={site.directory / 'data'}"
    names = "kafka_topic_partition_current_offset|kafka_log_log_end_offset"
    query = f'{{__name__=~"{names}",topic="{site.source}"}}'
    url = f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    with _running(["prometheus", f"--config.file={config}", listen, data], port):
        for _ in range(60):
            with urllib.request.urlopen(url, timeout=60) as answer:
                found = json.load(answer)["data"]["result"]
            if found and found[0]["value"][1] == str(COUNT):
                break
            time.sleep(0.5)
        else:
            raise Failed(f"it knows {found} of the topic's end")
    version = subprocess.run(["prometheus", "--version"], capture_output=True, text=True)
    return _found(r"version ([\d.]+)", version.stdout + version.stderr)


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match[1] if match else ""


HTTP = (
    Program("curl", "produce, replay as lines, a member of a group", _curl, ("curl",)),
    Program("nginx", "keeps an archive page", _nginx, ("nginx",)),
    Program("Varnish", "keeps an archive page", _varnish, ("varnishd",)),
    Program("Prometheus", "scrapes, and answers for a topic's end", _prometheus, ("prometheus",)),
)
