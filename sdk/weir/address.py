"""Where the server is, and whether what is said to it may go in the clear."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

import grpc

from weir.errors import ClientError

DEFAULT_PORT = 7443
MAX_MESSAGE = 4 * 1024 * 1024


@dataclass(frozen=True)
class Endpoint:
    """A target in gRPC's words, with credentials where it is spoken to over TLS."""

    target: str
    credentials: grpc.ChannelCredentials | None

    def options(self, version: str) -> list[tuple[str, str | int]]:
        """What every channel is opened with. The keepalive lies above the 10 s that the server accepts."""
        return [
            ("grpc.primary_user_agent", f"weir-python/{version}"),
            ("grpc.max_receive_message_length", MAX_MESSAGE),
            ("grpc.max_send_message_length", MAX_MESSAGE),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.initial_reconnect_backoff_ms", 100),
            # Also the longest time for one attempt to connect.
            ("grpc.min_reconnect_backoff_ms", 5_000),
            ("grpc.max_reconnect_backoff_ms", 2_000),
            ("grpc.use_local_subchannel_pool", 1),
        ]


def endpoint(address: str, *, tls: bool, ca: bytes | str | Path | None, insecure: bool) -> Endpoint:
    """Reads an address `HOST[:PORT]` or `unix:PATH`; plaintext to another machine must be asked for."""
    if not address:
        raise ClientError("the address is empty; say HOST:PORT, such as localhost:7443")
    host, target = _target(address)
    if tls or ca is not None:
        return Endpoint(target, grpc.ssl_channel_credentials(root_certificates=_certificates(ca)))
    if not insecure and not _is_local(host):
        raise ClientError(
            f"{host} is another machine, and without TLS passwords and keys would be readable on the way; "
            "say tls=True, ca=FILE for a certificate of your own, or insecure=True if the way is safe"
        )
    return Endpoint(target, None)


def _target(address: str) -> tuple[str, str]:
    if address.startswith("unix:"):
        return "", address
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]") or (":" in host and not host.startswith("[")):
        host, port = address, str(DEFAULT_PORT)
    if not port.isdigit() or not 0 < int(port) < 65536:  # noqa: PLR2004  the range of ports
        raise ClientError(f"{address!r} is no address; say HOST:PORT, such as localhost:7443")
    bare = host.strip("[]")
    return bare, f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"


def _is_local(host: str) -> bool:
    if host in {"", "localhost"}:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _certificates(ca: bytes | str | Path | None) -> bytes | None:
    return Path(ca).read_bytes() if isinstance(ca, (str, Path)) else ca
