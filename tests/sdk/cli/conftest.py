"""One `weir up` for all tests of the command line, and the program with admin signed in."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fixtures.cli import Weir
from tests.fixtures.up import Starter, WeirUp

PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Site:
    """What runs, and where it is reached."""

    up: WeirUp
    address: str

    def sign_in(self, folder: Path) -> Weir:
        """The program, with admin signed in and that kept in the folder."""
        weir = Weir({"XDG_CONFIG_HOME": str(folder)})
        ran = weir("login", "--address", self.address, "--user", "admin", WEIR_PASSWORD=PASSWORD)
        assert ran.status == 0, ran.err
        return weir


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A whole Weir with the probes."""
    starter = Starter(tmp_path_factory.mktemp("site"))
    up = starter(WEIR_ADMIN_PASSWORD=PASSWORD, WEIR_PACKS="builtin,tests.packs.probes")
    yield Site(up, up.ready())
    starter.stop()


@pytest.fixture(scope="session")
def weir(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Weir:
    """The program, with admin signed in."""
    return site.sign_in(tmp_path_factory.mktemp("signed-in"))
