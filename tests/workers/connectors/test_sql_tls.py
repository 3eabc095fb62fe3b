"""The connector `sql` over TLS, with a proxy before a PostgreSQL that ends the encryption."""

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.fixtures.sql_sources import SqlSource
from tests.workers.connectors.gathering import gather
from weir_workers.connectors.contract import Source, Wanted
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.sql import SqlConnector

_ASKS_FOR_TLS = 8


def certificate(folder: Path, name: x509.GeneralName) -> Path:
    """A certificate for a name, signed by itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "tls.pem"
    path.write_bytes(secret + made.public_bytes(pem))
    return path


@pytest.fixture(params=["right", "wrong"])
def pem(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, bool]:
    """A trusted certificate, and whether it is for the address that is dialled."""
    right = request.param == "right"
    address = ipaddress.ip_address("127.0.0.1")
    path = certificate(tmp_path, x509.IPAddress(address) if right else x509.DNSName("other.example"))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return path, right


@pytest.fixture
async def port(pem: tuple[Path, bool], postgres_socket: Path) -> AsyncGenerator[int]:
    """A port that speaks TLS as PostgreSQL does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem[0])
    context.set_alpn_protocols(["postgresql"])
    open_ones: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_ones.add(writer)
        try:
            await reader.readexactly(_ASKS_FOR_TLS)
            writer.write(b"S")
            await writer.start_tls(context)
            far_reader, far_writer = await asyncio.open_unix_connection(postgres_socket)
            open_ones.add(far_writer)
            await asyncio.gather(_pass(reader, far_writer), _pass(far_reader, writer))
        except (OSError, asyncio.IncompleteReadError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for writer in open_ones:
        writer.transport.abort()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while content := await reader.read(65536):
            writer.write(content)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


def over(source: SqlSource, port: int, tls: str) -> Source:
    url = f"postgresql://reader@127.0.0.1:{port}/weir_source"
    return Source({"url": url, "tls": tls}, source.secrets, allow_private=True)


async def test_required_does_not_look_at_the_certificate(postgres_source: SqlSource, port: int):
    postgres_source.run("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1), (2)")
    got = await gather(SqlConnector(), over(postgres_source, port, "required"), Wanted({}, stream="t"))
    assert got.column("id") == [1, 2]


async def test_verified_takes_a_certificate_for_the_host_only(
    postgres_source: SqlSource, port: int, pem: tuple[Path, bool]
):
    if pem[1]:
        await SqlConnector().check(over(postgres_source, port, "verified"))
        return
    with pytest.raises(SourceError) as caught:
        await SqlConnector().check(over(postgres_source, port, "verified"))
    assert caught.value.code == "sql.tls"
