"""The settings: what `WEIR_…` variables give, and what is said of one that can't be."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from weir_core.config import Settings, require


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("WEIR_")]:
        monkeypatch.delenv(name)


def refusal(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    """What is said of these variables."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as refused:
        Settings.load()
    return str(refused.value)


class TestLoad:
    def test_of_nothing_gives_what_is_safe(self):
        settings = Settings.load()
        assert settings.listen == "127.0.0.1:7443"
        assert not settings.insecure
        assert settings.lease == timedelta(seconds=15)

    def test_reads_variables(self, monkeypatch: pytest.MonkeyPatch):
        for name, value in {
            "WEIR_LISTEN": "[::1]:0",
            "WEIR_DATA_DIR": "/srv/weir",
            "WEIR_SLOTS": "3",
            "WEIR_INSECURE": "true",
            "WEIR_QUEUES": "default, slow ,",
            "WEIR_LOG_FORMAT": "json",
        }.items():
            monkeypatch.setenv(name, value)
        settings = Settings.load()
        assert (settings.listen, settings.data_dir, settings.slots) == ("[::1]:0", Path("/srv/weir"), 3)
        assert (settings.insecure, settings.queues, settings.log_format) == (
            True,
            ["default", "slow"],
            "json",
        )

    def test_what_is_given_stands_above_variables(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("WEIR_SLOTS", "3")
        assert Settings.load(slots=5).slots == 5

    @pytest.mark.parametrize(
        "text,size", [("1500", 1500), ("64MiB", 64 << 20), (" 2 GiB ", 2 << 30), ("1TiB", 1 << 40)]
    )
    def test_reads_sizes(self, monkeypatch: pytest.MonkeyPatch, text: str, size: int):
        monkeypatch.setenv("WEIR_FILE_BYTES", text)
        assert Settings.load().file_bytes == size

    @pytest.mark.parametrize(
        "text,seconds",
        [("15", 15), ("15s", 15), ("500ms", 0.5), ("1.5m", 90), ("2h", 7200), ("30d", 2592000), ("PT5S", 5)],
    )
    def test_reads_lengths_of_time(self, monkeypatch: pytest.MonkeyPatch, text: str, seconds: float):
        monkeypatch.setenv("WEIR_DRAIN_GRACE", text)
        assert Settings.load().drain_grace.total_seconds() == seconds

    @pytest.mark.parametrize(
        "url",
        [
            "mysql+asyncmy://weir:p%40ss@db:3306/weir",
            "mysql+asyncmy://weir@/weir?unix_socket=/run/my.sock",
            "mariadb+asyncmy://weir@db/weir",
            "sqlite+aiosqlite:////srv/weir.db",
        ],
    )
    def test_takes_the_databases_that_weir_knows(self, monkeypatch: pytest.MonkeyPatch, url: str):
        monkeypatch.setenv("WEIR_DATABASE_URL", url)
        assert Settings.load().database_url.get_secret_value() == url

    @pytest.mark.parametrize(
        "url", ["redis://:pw@r:6379/0", "rediss://r:6380", "unix:///run/redis.sock?db=2"]
    )
    def test_takes_the_ways_to_a_redis(self, monkeypatch: pytest.MonkeyPatch, url: str):
        monkeypatch.setenv("WEIR_REDIS_URL", url)
        assert Settings.load().redis_url.get_secret_value() == url


class TestRefusal:
    """A line for each variable: its name, what would be right, what it is."""

    @pytest.mark.parametrize(
        "name,value,right",
        [
            ("WEIR_SLOTS", "many", "valid integer"),
            ("WEIR_FILE_BYTES", "1GB", "must be a number of bytes, such as 1048576, 64MiB or 2GiB"),
            ("WEIR_RESULT_BYTES", "0", "greater than or equal to 1"),
            ("WEIR_SLOTS", "0", "greater than or equal to 1"),
            ("WEIR_SEGMENT_ROWS", "2000000", "less than or equal to 1048576"),
            ("WEIR_INSECURE", "perhaps", "valid boolean"),
            ("WEIR_LOG_LEVEL", "loud", "DEBUG|INFO|WARNING|ERROR"),
            ("WEIR_QUEUES", " , ", "at least 1 item"),
            ("WEIR_LEASE", "soon", "such as 15s, 500ms, 10m, 2h or 30d"),
            ("WEIR_LEASE", "-5s", "such as 15s"),
            ("WEIR_LEASE", "1.2.3s", "such as 15s"),
            ("WEIR_LEASE", "99999999999999d", "such as 15s"),
            ("WEIR_LEASE", "0", "longer than nothing"),
            ("WEIR_SWEEP", "0s", "longer than nothing"),
            ("WEIR_LISTEN", "7443", "HOST:PORT, such as 127.0.0.1:7443"),
            ("WEIR_LISTEN", "127.0.0.1:70000", "HOST:PORT"),
            ("WEIR_HTTP_LISTEN", "localhost:http", "HOST:PORT"),
            ("WEIR_STORE", "/srv/weir", "s3://BUCKET or s3://BUCKET/PREFIX"),
            ("WEIR_STORE", "s3://shop/../x", "s3://BUCKET"),
            ("WEIR_STORE_ENDPOINT", "minio:9000", "https://HOST or http://HOST:PORT"),
            ("WEIR_STORE_REGION", "x.evil/", "a-z0-9"),
        ],
    )
    def test_names_the_variable_and_the_value(
        self, monkeypatch: pytest.MonkeyPatch, name: str, value: str, right: str
    ):
        said = refusal(monkeypatch, **{name: value})
        assert said.startswith(f"{name}: ")
        assert right in said
        assert said.endswith(f"not {value!r}")
        assert len(said.splitlines()) == 1

    @pytest.mark.parametrize(
        "name,value",
        [
            ("WEIR_DATABASE_URL", "weir:s3cret@db/weir"),
            ("WEIR_DATABASE_URL", "mysql://weir:s3cret@db/weir"),
            ("WEIR_DATABASE_URL", "postgresql+asyncpg://weir:s3cret@db/weir"),
            ("WEIR_DATABASE_URL", "mysql+asyncmy://weir:s3cret@db:port/weir"),
            ("WEIR_REDIS_URL", "r:6379:s3cret"),
            ("WEIR_REDIS_URL", "http://:s3cret@r:6379"),
            ("WEIR_REDIS_URL", "redis://:s3cret@r:70000"),
            ("WEIR_STORE", "s3://key:s3cret@shop"),
            ("WEIR_STORE_ENDPOINT", "https://key:s3cret@minio"),
        ],
    )
    def test_p12_of_a_url_does_not_show_it(self, monkeypatch: pytest.MonkeyPatch, name: str, value: str):
        said = refusal(monkeypatch, **{name: value})
        assert said.startswith(f"{name}: must be ")
        assert "://" in said
        assert "s3cret" not in said

    def test_names_all_that_is_wrong(self, monkeypatch: pytest.MonkeyPatch):
        said = refusal(monkeypatch, WEIR_SLOTS="many", WEIR_LEASE="soon", WEIR_QUEUES="")
        assert [line.partition(":")[0] for line in said.splitlines()] == [
            "WEIR_QUEUES",
            "WEIR_SLOTS",
            "WEIR_LEASE",
        ]

    def test_of_heartbeats_that_come_too_late_for_the_lease(self, monkeypatch: pytest.MonkeyPatch):
        said = refusal(monkeypatch, WEIR_LEASE="6s", WEIR_HEARTBEAT="4s")
        assert said.startswith("WEIR_HEARTBEAT: must be at most half of WEIR_LEASE, which is 6s, not 4s")

    def test_of_what_a_bucket_can_not_be_reached_with(self, monkeypatch: pytest.MonkeyPatch):
        assert "set both or none" in refusal(monkeypatch, WEIR_STORE="s3://shop", WEIR_STORE_KEY_ID="k")
        monkeypatch.delenv("WEIR_STORE")
        said = refusal(monkeypatch, WEIR_STORE_SECRET="s", WEIR_STORE_ENDPOINT="http://minio:9000")
        assert said.startswith("WEIR_STORE: is not set, but WEIR_STORE_ENDPOINT is")


class TestRequire:
    def test_names_all_that_is_missing(self):
        with pytest.raises(SystemExit, match="not set: WEIR_DATABASE_URL, WEIR_MASTER_KEY"):
            require(Settings.load(redis_url="unix:///r"), "database_url", "redis_url", "master_key")

    def test_is_content_with_what_is_there(self):
        require(Settings.load(redis_url="unix:///r"), "redis_url", "listen")
