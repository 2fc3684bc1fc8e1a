"""Addresses in settings: what is understood, and what is refused with a reason that helps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidelog.api.address import Address, InvalidAddress, parse_address, parse_advertised

LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", fullmatch=True)
HOSTS = st.one_of(
    st.ip_addresses().map(str), st.lists(LABELS, min_size=1, max_size=4).map(".".join)
)


@given(HOSTS, st.integers(0, 65_535))
def test_an_address_is_read_as_it_is_written(host: str, port: int) -> None:
    address = Address(host, port)
    assert parse_address(str(address)) == address


@given(st.text("[]:.0123456789abz-/@* \n٣", max_size=24))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        address = parse_address(text)
    except InvalidAddress:
        return
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("localhost:0", "localhost", 0),
        ("127.0.0.1:65535", "127.0.0.1", 65_535),
        ("127.0.0.1:08082", "127.0.0.1", 8082),
        ("broker_1.example.:9092", "broker_1.example.", 9092),
        ("bücher.example:80", "bücher.example", 80),
        ("[::1]:8082", "::1", 8082),
        ("[fe80::1%eth0]:8082", "fe80::1%eth0", 8082),
        ("[::]:0", "::", 0),
    ],
)
def test_understood(text: str, host: str, port: int) -> None:
    assert parse_address(text) == (host, port)


BRACKETS = "an IPv6 address goes in brackets, as in [::1]:8082"
NO_PORT = "the port is missing, as in localhost:8082"
BAD_PORT = "the port must be a number from 0 to 65535"
NO_HOST = "the host is missing, as in localhost:8082"
REFUSED = {
    "::1": BRACKETS,
    "::1:8082": BRACKETS,
    "2001:db8::7:9092": BRACKETS,
    "localhost": NO_PORT,
    "8082": NO_PORT,
    "[::1]": NO_PORT,
    "": NO_PORT,
    "localhost:": BAD_PORT,
    "localhost:65536": BAD_PORT,
    "localhost:-1": BAD_PORT,
    "localhost:+1": BAD_PORT,
    "localhost:http": BAD_PORT,
    "localhost:٣": BAD_PORT,
    "localhost:" + "9" * 5000: BAD_PORT,
    "localhost:8082 ": BAD_PORT,
    ":8082": NO_HOST,
    "*:8082": NO_HOST,
    "http://localhost:8082": "leave out http://, as in localhost:8082",
    "PLAINTEXT://broker.example:9092": "leave out PLAINTEXT://, as in broker.example:9092",
    "PLAINTEXT://": "leave out PLAINTEXT://, as in localhost:9092",
    "a:9092,b:9092": "one address, not a list",
    **{
        f"{host}:9092": f"{host!r} is neither a host's name nor its address"
        for host in ("[localhost]", "[::1", "[127.0.0.1]", "[]", "a b", "a..b", "a/b", "x" * 64)
    },
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str) -> None:
    with pytest.raises(InvalidAddress) as raised:
        parse_address(text)
    assert raised.value.reason == REFUSED[text]
    assert str(raised.value) == f"{text!r} is not HOST:PORT: {REFUSED[text]}"


@pytest.mark.parametrize("text", ["broker.example:9092", "[2001:db8::7]:9092", "10.0.0.7:1"])
def test_clients_can_be_told(text: str) -> None:
    assert str(parse_advertised(text)) == text


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "0", "0.0", "0x0", "[::]", "[::0]", "[0:0:0:0:0:0:0:0]", "[::ffff:0.0.0.0]"],
)
def test_clients_cannot_be_told_every_address(host: str) -> None:
    bare = host.strip("[]")
    with pytest.raises(InvalidAddress, match="name the HOST:PORT that they reach") as raised:
        parse_advertised(f"{host}:9092")
    assert f"clients cannot connect to {bare};" in str(raised.value)


def test_clients_cannot_be_told_any_port() -> None:
    with pytest.raises(InvalidAddress, match="clients cannot connect to port 0"):
        parse_advertised("broker.example:0")
