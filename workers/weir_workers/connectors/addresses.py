"""Which addresses may be dialled.

The check stands between name resolution and connect, so the address that was
checked is the one that is dialled; a literal address in a URL never gets to a
resolver and is checked by `check_literal`. Without permission only public
addresses pass; with it private, loopback and link-local ones too; multicast,
reserved and unspecified ones never do, nor those where clouds hand out the
machine's own credentials.
"""

import ipaddress
import socket
from typing import TypeAlias

from aiohttp.abc import AbstractResolver, ResolveResult

from weir_workers.connectors.errors import SourceError

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_PRIVATE_V4 = tuple(
    ipaddress.IPv4Network(net)
    for net in (
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "198.18.0.0/15",
    )
)
_NEVER_V4 = tuple(
    ipaddress.IPv4Network(net)
    for net in (
        "0.0.0.0/8",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        # Metadata services of clouds.
        "100.100.100.200/32",
        "169.254.169.254/32",
        "169.254.170.2/32",
    )
)
_PRIVATE_V6 = tuple(ipaddress.IPv6Network(net) for net in ("::1/128", "fc00::/7", "fe80::/10"))
_PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
_NEVER_V6 = tuple(
    ipaddress.IPv6Network(net)
    for net in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "fd00:ec2::254/128")
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def may_dial(address: Address, *, allow_private: bool) -> bool:
    """True if a connection to the address may be opened."""
    if isinstance(address, ipaddress.IPv4Address):
        if any(address in net for net in _NEVER_V4):
            return False
        return allow_private or not any(address in net for net in _PRIVATE_V4)
    inner = _embedded(address)
    if inner is not None:
        return may_dial(inner, allow_private=allow_private)
    if any(address in net for net in _NEVER_V6):
        return False
    if any(address in net for net in _PRIVATE_V6):
        return allow_private
    return address in _PUBLIC_V6


def check_literal(host: str, *, allow_private: bool) -> None:
    """Refuses a host that is an address and may not be dialled; passes names."""
    address = _parsed(host)
    if address is not None and not may_dial(address, allow_private=allow_private):
        raise refused(host, host)


def refused(host: str, address: str) -> SourceError:
    """The error for an address that may not be dialled."""
    which = "" if host == address else f" (address {address})"
    return SourceError(
        "INVALID_INPUT",
        f"{host!r}{which} is not a public address; a connection reaches private ones only if "
        "`allow_private_addresses` is set, and metadata services of clouds never",
        code="address.refused",
        host=host,
    )


class GuardedResolver(AbstractResolver):
    """Resolves names and lets only such addresses through that may be dialled."""

    def __init__(self, inner: AbstractResolver, *, allow_private: bool) -> None:
        self._inner = inner
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a name; SourceError if none of them may be dialled."""
        found = await self._inner.resolve(host, port, family)
        good = [entry for entry in found if self._passes(entry["host"])]
        if found and not good:
            raise refused(host.rstrip("."), found[0]["host"])
        return good

    async def close(self) -> None:
        """Closes the resolver that does the work."""
        await self._inner.close()

    def _passes(self, address: str) -> bool:
        parsed = _parsed(address)
        return parsed is not None and may_dial(parsed, allow_private=self._allow_private)


def _parsed(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]").split("%", 1)[0])
    except ValueError:
        return None


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
