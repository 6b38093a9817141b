"""HOST:PORT, as people write it."""

import pytest

from engine.errors import UsageError
from transports.rpc.addresses import is_public, split_address


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("[::1]:65535", ("[::1]", 65_535)),
        ("host.example:1", ("host.example", 1)),
    ],
)
def test_an_address_has_a_host_and_a_port(address, parts):
    assert split_address(address) == parts


@pytest.mark.parametrize(
    "address", ["", "50051", ":50051", "host", "host:", "host:x", "host:65536", "host:-1", "a:٣"]
)
def test_anything_else_is_refused(address):
    with pytest.raises(UsageError, match="HOST:PORT"):
        split_address(address)


def test_an_ipv6_address_needs_its_brackets():
    with pytest.raises(UsageError, match=r"\[::1\]:50051"):
        split_address("::1:50051")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("127.0.0.1:1", False),
        ("127.9.9.9:1", False),
        ("[::1]:1", False),
        ("localhost:1", False),
        ("unix:/run/x", False),
        ("0.0.0.0:1", True),
        ("[::]:1", True),
        ("192.168.0.1:1", True),
        ("example.org:1", True),
    ],
)
def test_what_other_machines_may_reach_is_public(address, public):
    assert is_public(address) is public
