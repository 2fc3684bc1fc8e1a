"""Which broker a command speaks to, and how: a flag's, a variable's or a profile's.

The first that is given counts: ``--server``, the profile of ``--profile``, ``TIDELOG_SERVER``,
the profile of ``TIDELOG_PROFILE`` or else the one in use, the broker of this machine. A profile's
token goes nowhere but to the profile's own server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from tidelog.api.cli.failures import UsedWrongly
from tidelog.api.cli.profiles import Profile, Profiles

DEFAULT_SERVER = "http://127.0.0.1:8082"
_DEFAULT_PORT = 8082
"""Where no scheme says another."""
_PORTS = {"http": 80, "https": 443}
SERVER, TOKEN, CA_FILE, PROFILE = (
    f"TIDELOG_{name}" for name in ("SERVER", "TOKEN", "CA_FILE", "PROFILE")
)
"""The variables."""


class Connection(NamedTuple):
    """A broker's URL, taken apart, and what is shown and checked on the way there."""

    server: str
    """As it was given."""
    host: str
    port: int
    secure: bool
    """Over TLS."""
    prefix: str = ""
    """Before every path: empty, or where a proxy serves the broker."""
    token: str | None = None
    """Sent as ``Authorization: Bearer``."""
    ca_file: str | None = None
    """Certificates that are trusted, in PEM; None for those of the system."""
    insecure: bool = False
    """Any certificate is taken."""


def choose_connection(given: Mapping[str, Any], environment: Mapping[str, str]) -> Connection:
    """From flags by name (server, profile, token, ca_file, insecure). Raises UsedWrongly."""
    profile = _chosen(given, environment)
    found = parse_server(profile.server)._replace(
        token=given.get("token") or environment.get(TOKEN) or profile.token,
        ca_file=given.get("ca_file") or environment.get(CA_FILE) or profile.ca_file,
        insecure=bool(given.get("insecure")) or profile.insecure,
    )
    if found.token is not None and not is_word(found.token):
        raise UsedWrongly("--token: a token is one word of printable ASCII")
    if not found.secure and (given.get("ca_file") or given.get("insecure")):
        raise UsedWrongly(f"--ca-file and --insecure go with https, not with {profile.server}")
    return found


def _chosen(given: Mapping[str, Any], environment: Mapping[str, str]) -> Profile:
    """Raises UsedWrongly."""
    if given.get("server"):
        return Profile(given["server"])
    named = given.get("profile")
    if not named and environment.get(SERVER):
        return Profile(environment[SERVER])
    profiles = Profiles.load(environment)
    name = named or environment.get(PROFILE) or profiles.used
    return Profile(DEFAULT_SERVER) if name is None else profiles.named(name)


def parse_server(server: str) -> Connection:
    """Of a URL, or of a host with or without a port. Raises UsedWrongly."""
    scheme, separator, _ = server.partition("://")
    try:
        parts = urlsplit(server if separator else f"http://{server}")
        host, port = parts.hostname, parts.port
        prefix = quote(parts.path.rstrip("/"), safe="/%")
    except ValueError:
        raise _not_a_url(server) from None
    strange = parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme not in _PORTS or not host or strange or not _is_text(server):
        raise _not_a_url(server)
    if port is None:
        port = _PORTS[parts.scheme] if separator else _DEFAULT_PORT
    return Connection(server, host, port, scheme.lower() == "https", prefix)


def is_word(text: str) -> bool:
    """Whether it can stand in a header field."""
    return text.isascii() and _is_text(text)


def _is_text(text: str) -> bool:
    return text.isprintable() and " " not in text and bool(text)


def _not_a_url(server: str) -> UsedWrongly:
    return UsedWrongly(
        f"{server!r} is not the address of a broker, like {DEFAULT_SERVER} or 127.0.0.1:8082"
    )
