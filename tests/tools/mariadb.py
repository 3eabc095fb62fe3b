"""A private MariaDB: found on PATH, else unpacked from the distribution's packages, else a container.

Nothing of the system is touched and no rights are needed: own data folder, own unix socket, no port unless
one is asked for.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.tools.daemons import Daemon, Missing, run, start

_PACKAGES = ("mariadb-server-core", "mariadb-client-core")
_IMAGE = "docker.io/library/mariadb:11.4"
_NAMES = "weir\\_%"
_SETTINGS = (
    "--skip-log-bin",
    "--skip-slave-start",
    "--character-set-server=utf8mb4",
    "--max-connections=300",
)
# Durability is not what a database that lives for one test run is for; speed is.
_FAST = (
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
    "--innodb-buffer-pool-size=128M",
    "--innodb-log-file-size=32M",
)
# Every commit is flushed to the disk, as MariaDB does unless told otherwise; room as a server has it.
_DURABLE = ("--innodb-buffer-pool-size=1G", "--innodb-log-file-size=256M")


@dataclass(frozen=True)
class Build:
    """The programs of one MariaDB and what they need around them."""

    server: Path
    prefix: Path
    environment: dict[str, str] = field(default_factory=dict[str, str])

    def program(self, name: str) -> str:
        """Where one of its programs lies."""
        for folder in ("bin", "sbin", "scripts"):
            if (self.prefix / folder / name).exists():
                return str(self.prefix / folder / name)
        raise Missing(f"{name} is not beside {self.server}: install MariaDB's server package whole")

    def version(self) -> str:
        """As the server tells it, such as 10.11.14."""
        told = run([self.server, "--no-defaults", "--version"], self.environment)
        return told.split("Ver ")[1].split("-")[0]


def start_mariadb(
    folder: Path, cache: Path, scratch: Path, *, durable: bool = False, tied: bool = True, port: int = 0
) -> tuple[Daemon, dict[str, str]]:
    """A running server in `folder`; its URLs for an administrator and for Weir, its version and TCP address.

    Only with `durable` is a commit on the disk before it is answered. Tied, it dies with the thread that
    starts it; else it can be killed, and started again in its folder.
    """
    build = _on_path() or _unpacked(cache, scratch)
    if build is None and not tied:
        raise Missing("no MariaDB program to kill and start again: install mariadb-server")
    if build is None:
        return _container(folder)
    data, socket = folder / "data", folder / "my.sock"
    user = ["--user=root"] if os.geteuid() == 0 else []
    places = [f"--basedir={build.prefix}", f"--datadir={data}", f"--tmpdir={folder}"]
    if (messages := build.prefix / "share/mysql").is_dir():
        places.append(f"--lc-messages-dir={messages}")
    if not data.exists():
        install = ["--no-defaults", *places, *user, "--auth-root-authentication-method=normal"]
        run([build.program("mariadb-install-db"), *install, "--skip-test-db"], build.environment)
    grants = folder / "grants.sql"
    account = "CREATE USER IF NOT EXISTS weir@localhost;"
    grants.write_text(f"{account}\nGRANT ALL ON `{_NAMES}`.* TO weir@localhost;\n")
    flags = [
        *places,
        *user,
        *_SETTINGS,
        *(("--bind-address=127.0.0.1", f"--port={port}") if port else ("--skip-networking",)),
        *(_DURABLE if durable else _FAST),
        f"--socket={socket}",
        f"--pid-file={folder}/pid",
        f"--init-file={grants}",
    ]
    command = [build.server, "--no-defaults", *flags]
    daemon = start(command, folder / "log", socket, build.environment, tied=tied)
    tcp = f"127.0.0.1:{port}" if port else ""
    return daemon, _told(f"unix_socket={socket}", "", build.version(), tcp)


def _on_path() -> Build | None:
    found = shutil.which("mariadbd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found is None:
        return None
    server = Path(found).resolve()
    return Build(server, server.parents[1])


def _unpacked(cache: Path, scratch: Path) -> Build | None:
    root = cache / "mariadb"
    if not root.is_dir():
        if not all(map(shutil.which, ("apt-get", "dpkg"))):
            return None
        sys.stderr.write(f"MariaDB is not on PATH: downloading its packages into {root} (9 MB, once)\n")
        _unpack(scratch)
        root.parent.mkdir(parents=True, exist_ok=True)
        try:
            (scratch / "root").rename(root)
        except OSError:
            # Another process of the same run may have been quicker.
            if not root.is_dir():
                raise
    libraries = sorted({str(path.parent) for path in root.glob("**/lib*.so.*")})
    search = os.pathsep.join([*libraries, os.environ.get("LD_LIBRARY_PATH", "")]).rstrip(os.pathsep)
    return Build(root / "usr/sbin/mariadbd", root / "usr", {"LD_LIBRARY_PATH": search})


def _unpack(scratch: Path) -> None:
    """Download with lists and archives of our own: apt's own stay as they are, and no lock is taken."""
    lists, archives = scratch / "lists", scratch / "cache/archives"
    for folder in (lists, archives):
        (folder / "partial").mkdir(parents=True)
    places = {"Dir::State::Lists": lists, "Dir::Cache": scratch / "cache"}
    plain = {"Debug::NoLocking": "1", "APT::Sandbox::User": "", "APT::Update::Post-Invoke-Success::": ""}
    options = [f"-o{name}={value}" for name, value in {**places, **plain}.items()]
    run(["apt-get", "-q", *options, "update"])
    run(
        ["apt-get", "-q", "-y", *options, "--no-install-recommends", "--download-only", "install", *_PACKAGES]
    )
    for package in archives.glob("*.deb"):
        run(["dpkg", "-x", package, scratch / "root"])


def _container(folder: Path) -> tuple[Daemon, dict[str, str]]:
    engine = shutil.which("docker") or shutil.which("podman")
    if engine is None:
        raise Missing("no MariaDB: install mariadb-server (brew install mariadb), or docker, or podman")
    name = f"weir-test-{folder.parent.name}"
    (folder.parent / "container").write_text(f"{engine} {name}")
    setup = f"CREATE USER weir; GRANT ALL ON `{_NAMES}`.* TO weir;"
    (folder / "grants.sql").write_text(setup)
    options = ["--name", name, "--rm", "-e", "MARIADB_ALLOW_EMPTY_ROOT_PASSWORD=1", "-p", "127.0.0.1::3306"]
    mount = ["-v", f"{folder}/grants.sql:/docker-entrypoint-initdb.d/grants.sql:ro"]
    daemon = Daemon(subprocess.Popen([engine, "run", *options, *mount, _IMAGE], stdout=subprocess.DEVNULL))
    ready = ["exec", name, "healthcheck.sh", "--connect", "--innodb_initialized"]
    daemon.wait(
        lambda: subprocess.run([engine, *ready], capture_output=True, check=False).returncode == 0, 120
    )
    address = run([engine, "port", name, "3306/tcp"]).split()[0]
    version = run([engine, "exec", name, "mariadbd", "--version"]).split("Ver ")[1].split("-")[0]
    return daemon, _told("", address, version, address)


def _told(query: str, address: str, version: str, tcp: str) -> dict[str, str]:
    urls = {who: f"mysql+asyncmy://{who}@{address}/{{name}}?{query}".rstrip("?") for who in ("root", "weir")}
    return {
        "mariadb_admin": urls["root"],
        "mariadb": urls["weir"],
        "mariadb_version": f"MariaDB {version}",
        "mariadb_tcp": tcp,
    }
