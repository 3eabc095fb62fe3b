import base64
import os
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from weir_server.embedded.failures import UpFailed
from weir_server.embedded.folder import DataFolder, write_private


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    made = DataFolder(tmp_path / "data")
    made.make()
    return made


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class TestHold:
    def test_keeps_a_second_one_out_and_names_the_holder(self, folder: DataFolder):
        folder.hold()
        with pytest.raises(UpFailed, match=rf"is in use by another `weir up` \(process {os.getpid()}\)"):
            DataFolder(folder.path).hold()

    def test_is_by_another_path_to_the_same_folder_too(self, folder: DataFolder, tmp_path: Path):
        (tmp_path / "other").symlink_to(folder.path)
        folder.hold()
        with pytest.raises(UpFailed, match="in use"):
            DataFolder(tmp_path / "other").hold()

    def test_tells_why_where_the_lock_cannot_be_made(self, folder: DataFolder):
        (folder.path / "lock").mkdir()
        with pytest.raises(UpFailed, match=r"--data-dir .*: Is a directory; choose a folder"):
            folder.hold()


class TestMasterKey:
    def test_is_made_once_for_its_owner_only(self, folder: DataFolder):
        key = folder.master_key({})
        assert len(base64.b64decode(key)) == 32
        assert mode(folder.path / "master.key") == 0o600
        assert DataFolder(folder.path).master_key({}) == key

    def test_of_the_environment_is_taken_and_not_kept(self, folder: DataFolder):
        assert folder.master_key({"WEIR_MASTER_KEY": "mine"}) == "mine"
        assert not (folder.path / "master.key").exists()

    def test_that_differs_from_the_kept_one_is_refused(self, folder: DataFolder):
        folder.master_key({})
        with pytest.raises(UpFailed, match="WEIR_MASTER_KEY is another key than"):
            folder.master_key({"WEIR_MASTER_KEY": "mine"})

    def test_that_is_gone_is_not_made_anew_beside_a_database(self, folder: DataFolder):
        folder.database.touch()
        with pytest.raises(UpFailed, match="is gone, and with it what its key encrypts"):
            folder.master_key({})


class TestAdminPassword:
    def test_is_random_and_kept_for_its_owner_only(self, folder: DataFolder):
        password = folder.admin_password({})
        assert len(password) >= 24
        assert mode(folder.password_file) == 0o600
        assert folder.password_file.read_text().strip() == password
        assert folder.admin_password({}) == password

    def test_of_the_environment_is_written_nowhere(self, folder: DataFolder):
        assert folder.admin_password({"WEIR_ADMIN_PASSWORD": "correct horse"}) == "correct horse"
        assert not folder.password_file.exists()


class TestSocketFolder:
    def test_is_fresh_and_private(self):
        # A short path, wherever the tests' own folder lies.
        with tempfile.TemporaryDirectory(dir="/tmp") as short:
            self.fresh_and_private(DataFolder(Path(short)))

    def fresh_and_private(self, folder: DataFolder):
        (folder.path / "run").mkdir()
        (folder.path / "run" / "left.sock").touch()
        made = folder.socket_folder()
        assert (made, mode(made), list(made.iterdir())) == (folder.path / "run", 0o700, [])

    def test_is_elsewhere_where_the_path_is_too_long_for_a_socket(self, tmp_path: Path):
        deep = DataFolder(tmp_path / ("long" * 30))
        deep.make()
        made = deep.socket_folder()
        with socket.socket(socket.AF_UNIX) as fits:
            fits.bind(str(made / "scheduler.ready"))
        assert mode(made) == 0o700
        (made / "scheduler.ready").unlink()
        made.rmdir()


class TestWritePrivate:
    def test_replaces_whole(self, tmp_path: Path):
        write_private(tmp_path / "file", "one")
        write_private(tmp_path / "file", "two")
        assert (tmp_path / "file").read_text() == "two\n"
        assert [path.name for path in tmp_path.iterdir()] == ["file"]
