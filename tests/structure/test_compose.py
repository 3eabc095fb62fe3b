"""Dockerfile, docker-compose.yml and .env.example against the code that they start."""

import asyncio
import json
import re
import shlex
import sys
from datetime import timedelta
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from tests.structure.commands import ROOT, VARIABLE, fault_of, variables
from weir.task import task
from weir_core import __version__
from weir_core.config import Settings
from weir_server.http_port import HttpServer

FILES = {name: (ROOT / name).read_text() for name in ("Dockerfile", "docker-compose.yml", ".env.example")}
COMPOSE: dict[str, Any] = yaml.safe_load(FILES["docker-compose.yml"])
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: each for name, each in SERVICES.items() if each["image"].startswith("weir:")}
SERVERS = {name: each for name, each in OURS.items() if each["command"][0] == "server"}
# To close what is open once tasks have ended.
CLOSING = timedelta(seconds=5)
SECRET = re.compile(r"PASSWORD|KEY|SECRET|TOKEN")
GIVEN = re.compile(r"\$\{([A-Z_]+):\?[^}]+\}")
PINNED = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)?:\d+\.\d+[a-z0-9.-]*")


def instructions(name: str) -> list[str]:
    """What follows a Dockerfile's instruction, each time that it stands there."""
    whole = FILES["Dockerfile"].replace("\\\n", " ")
    return [line.partition(" ")[2] for line in whole.splitlines() if line.startswith(f"{name} ")]


def settings_of(service: dict[str, Any]) -> Settings:
    """A service's settings, with something in place of each secret."""
    filled = {name: GIVEN.sub("filled-in", value) for name, value in service["environment"].items()}
    return Settings.load(**{name.removeprefix("WEIR_").lower(): value for name, value in filled.items()})


def seconds(text: str) -> timedelta:
    return timedelta(seconds=int(text.removesuffix("s")))


def port_of(address: str) -> str:
    return address.rpartition(":")[2]


def test_the_file_has_all_processes_and_two_servers():
    commands = [each["command"][0] for each in OURS.values()]
    assert sorted(commands) == ["db", "scheduler", "server", "server", "worker"]


@pytest.mark.parametrize("name", OURS)
def test_every_command_and_option_exists(name: str):
    assert fault_of(OURS[name]["command"]) == ""


def test_the_image_starts_weir():
    assert json.loads(instructions("ENTRYPOINT")[0]) == ["weir"]
    assert fault_of(json.loads(instructions("CMD")[0])) == ""


@pytest.mark.parametrize("file", FILES)
def test_every_variable_is_one_that_weir_reads(file: str):
    assert set(VARIABLE.findall(FILES[file])) <= variables()


@pytest.mark.parametrize("name", OURS)
def test_the_settings_are_taken(name: str):
    assert settings_of(OURS[name]).database_url.get_secret_value().startswith("mysql+asyncmy://")


def test_no_secret_has_a_value():
    lines = [line for line in FILES[".env.example"].splitlines() if line and not line.startswith("#")]
    asked = set(GIVEN.findall(FILES["docker-compose.yml"]))
    assert sorted(lines) == sorted(f"{name}=" for name in asked)
    assert len(re.findall(r"\$\{", FILES["docker-compose.yml"])) == len(
        GIVEN.findall(FILES["docker-compose.yml"])
    )
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            held = GIVEN.sub("", str(value))
            assert not held if SECRET.search(variable) else not re.search(r"://[^/@]+:[^@]+@", held), name


def test_no_secret_is_built_into_the_image():
    assert not [line for name in ("ENV", "ARG") for line in instructions(name) if SECRET.search(line)]


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_pinned(name: str):
    assert PINNED.fullmatch(SERVICES[name]["image"])
    if name in OURS:
        assert SERVICES[name]["image"] == f"weir:{__version__}"


def test_the_image_is_made_from_one_pinned_base():
    bases = {line.partition(" ")[0] for line in instructions("FROM")}
    assert len(bases) == 1
    assert PINNED.fullmatch(bases.pop())


def test_the_image_is_made_from_the_locks():
    installs = [line for line in instructions("RUN") if " install " in line and " -r " in line]
    assert [re.findall(r"-r (\S+)", line) for line in installs] == [
        ["requirements/runtime.txt"],
        ["requirements/build.txt"],
    ]
    assert all("--require-hashes" in line for line in installs)
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [word for line in instructions("COPY") if "--from" not in line for word in line.split()[:-1]]
    assert {f"!{name}" for name in copied} <= set(ignored)
    assert all((ROOT / name).exists() for name in copied)


def test_the_locks_name_no_host():
    for lock in (ROOT / "requirements").glob("*.txt"):
        assert not re.search(r"://|--(extra-)?index|--find-links", lock.read_text()), lock.name


def test_the_image_runs_as_no_root():
    user = instructions("USER")[-1]
    assert user != "root"
    assert any(f"useradd --uid 10001 --gid {user}" in line for line in instructions("RUN"))


@pytest.mark.parametrize("name", SERVERS)
def test_published_ports_are_listened_on_and_only_by_this_machine(name: str):
    settings = settings_of(SERVERS[name])
    listened = [port_of(settings.listen), port_of(settings.http_listen)]
    published = [mapping.split(":") for mapping in SERVERS[name]["ports"]]
    assert [container for _, _, container in published] == listened == instructions("EXPOSE")[0].split()
    assert {address for address, _, _ in published} == {"127.0.0.1"}
    assert listened[0] == port_of(Settings.model_fields["listen"].default)


def test_only_servers_publish_ports_and_no_two_the_same():
    assert {name for name, each in SERVICES.items() if "ports" in each} == set(SERVERS)
    taken = [mapping.split(":")[1] for each in SERVERS.values() for mapping in each["ports"]]
    assert len(set(taken)) == len(taken)


@pytest.mark.parametrize("name", OURS)
def test_a_stop_leaves_time_for_the_drain_and_for_tasks_to_stop(name: str):
    service = OURS[name]
    task_grace: timedelta = (task.__kwdefaults__ or {})["grace"]
    needed = settings_of(service).drain_grace + task_grace + CLOSING
    assert seconds(service["stop_grace_period"]) >= needed


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_bounded_and_says_what_happens_when_it_ends(name: str):
    service = SERVICES[name]
    assert service["restart"] == ("no" if name == "migrate" else "unless-stopped")
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}


@pytest.mark.parametrize("name", OURS)
def test_who_is_waited_for_can_say_that_it_is_there(name: str):
    for other, wanted in OURS[name]["depends_on"].items():
        if wanted["condition"] == "service_healthy":
            assert "test" in SERVICES[other]["healthcheck"]
        else:
            assert SERVICES[other]["restart"] == "no"


@pytest.mark.parametrize("name", OURS)
def test_data_is_shared_where_the_image_keeps_it(name: str):
    place = next(line for line in instructions("ENV") if "WEIR_DATA_DIR" in line)
    kept = dict(part.split("=", 1) for part in shlex.split(place))["WEIR_DATA_DIR"]
    assert OURS[name]["volumes"] == [f"data:{kept}"]


@pytest.mark.parametrize("serving", [True, False])
async def test_the_health_check_tells_a_serving_server_from_another(*, serving: bool):
    _, python, flag, program = next(iter(SERVERS.values()))["healthcheck"]["test"]
    assert (python, flag) == ("python", "-c")
    port = HttpServer(CollectorRegistry(), lambda: serving)
    await port.start("127.0.0.1:0")
    aimed = program.replace(":7480/", f":{port.port}/")
    assert aimed != program
    process = await asyncio.create_subprocess_exec(
        sys.executable, flag, aimed, stderr=asyncio.subprocess.DEVNULL
    )
    async with asyncio.timeout(60):
        assert (await process.wait() == 0) is serving
    await port.stop()
