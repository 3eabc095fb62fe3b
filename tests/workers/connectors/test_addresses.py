import ipaddress
import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from weir_workers.connectors.addresses import GuardedResolver, check_literal, may_dial
from weir_workers.connectors.errors import SourceError

PUBLIC = ["1.1.1.1", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::808:808"]
PRIVATE = [
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.1.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "::1",
    "fc00::1",
    "fd12::1",
    "fe80::1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.1.1",
    "64:ff9b::a00:1",
]
NEVER = [
    "0.0.0.0",
    "0.1.2.3",
    "192.0.2.1",
    "198.51.100.7",
    "203.0.113.7",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "ff02::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2001::1",
    "::ffff:0.0.0.0",
    "::127.0.0.1",
    "fec0::1",
    "169.254.169.254",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "169.254.170.2",
    "100.100.100.200",
    "fd00:ec2::254",
]


class Names(AbstractResolver):
    """A name server that knows one answer."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in self._addresses
        ]

    async def close(self) -> None:
        pass


class TestMayDial:
    @pytest.mark.parametrize("text", PUBLIC)
    def test_public_ones_always(self, text: str) -> None:
        address = ipaddress.ip_address(text)
        assert may_dial(address, allow_private=False)
        assert may_dial(address, allow_private=True)

    @pytest.mark.parametrize("text", PRIVATE)
    def test_private_ones_with_permission(self, text: str) -> None:
        address = ipaddress.ip_address(text)
        assert not may_dial(address, allow_private=False)
        assert may_dial(address, allow_private=True)

    @pytest.mark.parametrize("text", NEVER)
    def test_others_never(self, text: str) -> None:
        address = ipaddress.ip_address(text)
        assert not may_dial(address, allow_private=False)
        assert not may_dial(address, allow_private=True)


class TestCheckLiteral:
    @pytest.mark.parametrize("host", ["127.0.0.1", "::1", "[::1]", "fe80::1%eth0"])
    def test_refuses_addresses(self, host: str) -> None:
        with pytest.raises(SourceError):
            check_literal(host, allow_private=False)

    @pytest.mark.parametrize("host", ["example.com", "localhost", "1.1.1.1", "127.0.0.1.example.com"])
    def test_passes_names_and_public_addresses(self, host: str) -> None:
        check_literal(host, allow_private=False)


class TestGuardedResolver:
    async def test_name_with_private_addresses_only_is_refused(self) -> None:
        resolver = GuardedResolver(Names("10.0.0.1", "::1"), allow_private=False)
        with pytest.raises(SourceError, match=r"'inside.example' \(address 10.0.0.1\)"):
            await resolver.resolve("inside.example", 80)

    async def test_private_one_among_public_ones_is_not_given(self) -> None:
        resolver = GuardedResolver(Names("127.0.0.1", "1.1.1.1"), allow_private=False)
        assert [found["host"] for found in await resolver.resolve("both.example", 80)] == ["1.1.1.1"]

    async def test_permission_lets_private_ones_through(self) -> None:
        resolver = GuardedResolver(Names("10.0.0.1", "224.0.0.1"), allow_private=True)
        assert [found["host"] for found in await resolver.resolve("inside.example", 80)] == ["10.0.0.1"]
