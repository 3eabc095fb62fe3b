"""Environments of taps: made once, kept as long as they are used, from packages of a folder."""

import asyncio
import zipfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from weir_workers.connectors import tap_environment
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.tap_environment import program_of
from weir_workers.connectors.tap_settings import TapConnection

Wanted = Callable[..., TapConnection]


def pack(folder: Path, version: str) -> None:
    """A wheel of a tap that does nothing."""
    info = f"tap_small-{version}.dist-info"
    parts = {
        "tap_small.py": "def main():\n    print('hello')\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tap-small\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\ntap-small = tap_small:main\n",
    }
    record = "".join(f"{name},,\n" for name in [*parts, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"tap_small-{version}-py3-none-any.whl", "w") as wheel:
        for name, text in {**parts, f"{info}/RECORD": record}.items():
            wheel.writestr(name, text)


@pytest.fixture
def wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wanted:
    """Connections to the tap in a version, which is in a folder in place of the registry."""
    for version in ("1", "2", "3"):
        pack(tmp_path, version)
    places = {"UV_FIND_LINKS": tmp_path, "UV_NO_INDEX": 1, "UV_CACHE_DIR": tmp_path / "cache"}
    taps = {"WEIR_TAPS": "tap-small", "WEIR_TAP_FOLDER": tmp_path / "taps"}
    for name, value in (places | taps).items():
        monkeypatch.setenv(name, str(value))

    def make(version: str, **changed: str) -> TapConnection:
        return TapConnection.model_validate({"package": f"tap-small=={version}", **changed})

    return make


def kept(folder: Path) -> int:
    return len(list((folder / "taps").glob("*/bin")))


def there(*programs: str) -> list[bool]:
    return [Path(one).exists() for one in programs]


async def test_who_asks_at_the_same_time_gets_one_environment(wanted: Wanted, tmp_path: Path):
    async with AsyncExitStack() as stack:
        asked = [stack.enter_async_context(program_of(wanted("1"))) for _ in range(3)]
        programs = set(await asyncio.gather(*asked))
        assert (len(programs), kept(tmp_path)) == (1, 1)
        process = await asyncio.create_subprocess_exec(*programs, stdout=asyncio.subprocess.PIPE)
        assert (await process.communicate())[0] == b"hello\n"


async def test_those_used_longest_ago_are_removed_unless_a_tap_runs_from_them(
    wanted: Wanted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tap_environment, "_KEPT", 1)
    async with program_of(wanted("1")) as first:
        async with program_of(wanted("2")) as second:
            assert there(first) == [True]
        async with program_of(wanted("3")):
            assert there(first, second) == [True, False]
    async with program_of(wanted("2")):
        assert kept(tmp_path) == 1


async def test_what_can_not_be_had_is_told(wanted: Wanted):
    for connection, code, words in (
        (wanted("9"), "tap.install", "tap-small==9 can't be installed"),
        (wanted("1", executable="tap-large"), "tap.executable", "there are: tap-small"),
    ):
        with pytest.raises(SourceError, match=words) as caught:
            async with program_of(connection):
                pass
        assert caught.value.code == code
