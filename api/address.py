"""Addresses as people write them: ``HOST:PORT``, an IPv6 host in brackets."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

PORT_MAX = 65_535
ANY_IPV4, ANY_IPV6 = "0.0.0.0", "::"
_MAPPED = "::ffff:"
_LABEL_MAX = 63
_HOST_NAME = re.compile(r"[\w.-]+")
_PORT = re.compile(r"[0-9]{1,5}")


class InvalidAddress(Exception):
    """``reason`` says why the text is no address that can be used here."""

    def __init__(self, text: str, reason: str, *, form: bool = True) -> None:
        super().__init__(f"{text!r} is not HOST:PORT: {reason}" if form else f"{text!r}: {reason}")
        self.text = text
        self.reason = reason


class Address(NamedTuple):
    """A host and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


Addresses = tuple[Address, ...]


def parse_address(text: str) -> Address:
    """Raises InvalidAddress."""
    scheme, found, rest = text.rpartition("://")
    if found:
        raise InvalidAddress(text, f"leave out {scheme}://, as in {rest or 'localhost:9092'}")
    if "," in text:
        raise InvalidAddress(text, "one address, not a list")
    host, colon, port = text.rpartition(":")
    if ":" in host and not host.startswith("["):
        raise InvalidAddress(text, "an IPv6 address goes in brackets, as in [::1]:8082")
    if not colon or text.endswith("]"):
        raise InvalidAddress(text, "the port is missing, as in localhost:8082")
    if not _PORT.fullmatch(port) or int(port) > PORT_MAX:
        raise InvalidAddress(text, f"the port must be a number from 0 to {PORT_MAX}")
    if host in ("", "*"):
        raise InvalidAddress(text, "the host is missing, as in localhost:8082")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not (_is_host_name(host) if bare == host else _is_ipv6(bare)):
        raise InvalidAddress(text, f"{host!r} is neither a host's name nor its address")
    return Address(bare, int(port))


def parse_addresses(text: str, parse: Callable[[str], Address] = parse_address) -> Addresses:
    """One or more, between commas, none of them twice. Raises InvalidAddress."""
    return tuple(dict.fromkeys(parse(one.strip()) for one in text.split(",")))


def plain_host(host: str) -> str:
    """An address of IPv4 as such, where a socket of both families says it as one of IPv6."""
    return host.removeprefix(_MAPPED) if "." in host else host


def parse_advertised(text: str) -> Address:
    """An address that clients can be told to connect to. Raises InvalidAddress."""
    address = parse_address(text)
    if address.port == 0:
        raise InvalidAddress(text, "clients cannot connect to port 0", form=False)
    if _is_wildcard(address.host):
        reason = f"clients cannot connect to {address.host}; name the HOST:PORT that they reach"
        raise InvalidAddress(text, reason, form=False)
    return address


def _is_host_name(host: str) -> bool:
    if not _HOST_NAME.fullmatch(host):
        return False
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError:
            return False
    return all(0 < len(label) <= _LABEL_MAX for label in host.removesuffix(".").split("."))


def _is_ipv6(host: str) -> bool:
    import ipaddress

    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def _is_wildcard(host: str) -> bool:
    """Whether it means every address of this machine: 0.0.0.0 and ::, in all their spellings."""
    import ipaddress
    import socket

    if ":" in host:
        address = ipaddress.IPv6Address(host)
        mapped = address.ipv4_mapped
        return (address if mapped is None else mapped).is_unspecified
    try:
        return socket.inet_aton(host) == bytes(4)
    except OSError:
        return False
