"""Signing in and out, and who is signed in where."""

import json
import shutil
import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.fixtures.cli import Ran, Terminal, Weir
from tests.sdk.cli.conftest import PASSWORD, Site
from weir.v1.user_pb2 import User
from weir.v1.user_service_pb2 import GetUserResponse, LoginResponse, Tokens
from weir.v1.user_service_pb2_grpc import UserServiceServicer, add_UserServiceServicer_to_server


def profile(weir: Weir) -> Path:
    return Path(weir.variables["XDG_CONFIG_HOME"]) / "weir" / "profile.json"


def kept_tokens(weir: Weir) -> Tokens:
    return Tokens.FromString(bytes.fromhex(json.loads(profile(weir).read_text())["tokens"]))


class TestLogin:
    def test_keeps_the_session_for_its_owner_only_and_no_password(self, site: Site, weir_program: Weir):
        ran = weir_program(
            "login", "--address", site.address, "--user", "admin", "--password-stdin", given=PASSWORD + "\n"
        )
        assert (ran.status, ran.out) == (0, f"signed in to {site.address} as admin\n")
        kept = profile(weir_program)
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
        assert PASSWORD not in kept.read_text()
        who = weir_program("users", "get", "--json")
        assert who.document["user"]["name"] == "admin"

    def test_asks_on_a_terminal_and_shows_no_password(self, site: Site, weir_program: Weir):
        def answer(terminal: Terminal) -> None:
            for question, text in (("User name: ", "admin"), ("Password: ", PASSWORD)):
                if terminal.shown.endswith(question):
                    terminal.type(text + "\n")

        ran = weir_program.on_terminal("login", "--address", site.address, during=answer)
        assert (ran.status, f"signed in to {site.address} as admin" in ran.out) == (0, True)
        assert PASSWORD not in ran.out

    @pytest.mark.parametrize("as_json", [False, True])
    def test_tells_a_wrong_password(self, site: Site, weir_program: Weir, as_json: bool):
        options = ["--json"] if as_json else []
        ran = weir_program(
            "login", "--address", site.address, "--user", "admin", *options, WEIR_PASSWORD="x" * 12
        )
        assert (ran.status, ran.out) == (5, "")
        if as_json:
            assert (ran.error["code"], ran.error["reason"]) == ("UNAUTHENTICATED", "CREDENTIALS_INVALID")
            assert ran.error["request_id"]
        else:
            assert ran.err.startswith(
                "weir: the credentials are wrong\n  see that name and password are right"
            )
            assert "\n  request " in ran.err
        assert not profile(weir_program).exists()


class TestLogout:
    def test_ends_the_session_also_for_a_copy_of_it(self, site: Site, tmp_path: Path):
        weir, copy = site.sign_in(tmp_path / "one"), Weir({"XDG_CONFIG_HOME": str(tmp_path / "two")})
        shutil.copytree(tmp_path / "one", tmp_path / "two")
        assert weir("logout").out == "signed out\n"
        assert not profile(weir).exists()
        assert weir("users", "get").status == 5
        revoked = copy("users", "get", "--json")
        assert (revoked.status, revoked.error["reason"]) == (5, "TOKEN_REVOKED")
        assert copy("logout").out == "was not signed in any more\n"
        assert not profile(copy).exists()


class TestSession:
    def test_survives_commands_that_renew_it_at_the_same_time(self, site: Site, tmp_path: Path):
        weir = site.sign_in(tmp_path)
        tokens = kept_tokens(weir)
        kept = json.loads(profile(weir).read_text())
        tokens.access_expire_time.FromDatetime(datetime.now(UTC) - timedelta(seconds=1))
        profile(weir).write_text(json.dumps(kept | {"tokens": tokens.SerializeToString().hex()}))
        with ThreadPoolExecutor(4) as pool:
            ran = list(pool.map(lambda _: weir("tasks", "list"), range(4)))
        assert [each.status for each in ran] == [0, 0, 0, 0], [each.err for each in ran]
        assert kept_tokens(weir).refresh_token != tokens.refresh_token

    def test_p12_of_one_server_is_not_shown_to_another(self, weir: Weir):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            other.setblocking(False)
            address = f"127.0.0.1:{other.getsockname()[1]}"
            ran = weir("tasks", "list", WEIR_ENDPOINT=address)
            assert (ran.status, f"nobody is signed in at {address}" in ran.err) == (5, True)
            with pytest.raises(BlockingIOError):
                other.accept()


class TestWithout:
    def test_a_session_a_command_says_how_to_get_one(self, weir_program: Weir):
        ran = weir_program("tasks", "list")
        assert (ran.status, ran.err) == (
            5,
            "weir: nobody is signed in at localhost:7443\n  sign in with: weir login\n",
        )

    def test_a_server_it_says_how_to_start_one(self, weir_program: Weir):
        ran = weir_program("login", "--address", "127.0.0.1:1", "--user", "ann", WEIR_PASSWORD="x")
        assert ran.status == 4
        assert "start one: weir up; look closer: weir doctor" in ran.err

    def test_tls_nothing_is_sent_to_another_machine(self, weir_program: Weir):
        ran = weir_program("login", "--address", "example.org:7443", "--user", "ann", WEIR_PASSWORD="x")
        assert ran.status == 2
        assert "weir login with --tls, --ca FILE or --insecure" in ran.err

    def test_a_home_it_can_write_to_it_says_which_file(self, site: Site, tmp_path: Path):
        (tmp_path / "file").touch()
        weir = Weir({"XDG_CONFIG_HOME": str(tmp_path / "file")})
        ran = weir("login", "--address", site.address, "--user", "admin", WEIR_PASSWORD=PASSWORD)
        assert (ran.status, f"weir: {tmp_path / 'file' / 'weir'}: " in ran.err) == (1, True)


def certificate(folder: Path) -> tuple[bytes, bytes]:
    """A key and a certificate by nobody but itself, for localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(1)
        )
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    (folder / "ca.pem").write_bytes(pem)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, pem


class Doorman(UserServiceServicer):
    """Lets everybody in."""

    def Login(self, request: Any, context: Any) -> LoginResponse:  # noqa: N802 - as the contract calls it
        tokens = Tokens(access_token="a", refresh_token="r")
        tokens.access_expire_time.FromDatetime(datetime.now(UTC) + timedelta(hours=1))
        return LoginResponse(tokens=tokens, user=User(name=request.password.user_name))

    def GetUser(self, request: Any, context: Any) -> GetUserResponse:  # noqa: N802 - as above
        return GetUserResponse(user=User(name=dict(context.invocation_metadata())["authorization"]))


def test_over_tls_the_certificate_is_asked_for_and_remembered(weir_program: Weir, tmp_path: Path):
    server = grpc.server(ThreadPoolExecutor(2))
    add_UserServiceServicer_to_server(Doorman(), server)  # pyright: ignore[reportAbstractUsage]
    credentials = grpc.ssl_server_credentials([certificate(tmp_path)])
    address = f"localhost:{server.add_secure_port('localhost:0', credentials)}"
    server.start()
    try:

        def login(*options: str | Path) -> Ran:
            return weir_program("login", "--address", address, "--user", "ann", *options, WEIR_PASSWORD="x")

        assert login("--tls").status == 4
        assert login("--ca", tmp_path / "ca.pem").status == 0
        assert weir_program("users", "get", "--json").document["user"]["name"] == "Bearer a"
    finally:
        server.stop(None)
