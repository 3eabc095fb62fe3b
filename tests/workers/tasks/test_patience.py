import pytest

from weir.task import TaskFailure
from weir_core.errors import Conflict, DependencyDown
from weir_workers.tasks.patience import patiently


class Database:
    """Answers after some failures."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)

    async def call(self) -> str:
        if self.failures:
            raise self.failures.pop(0)
        return "done"


class TestPatiently:
    async def test_it_waits_for_the_database(self):
        database = Database(DependencyDown("db"), Conflict("met"), DependencyDown("db"))
        assert await patiently(database.call, pause=0) == "done"

    async def test_in_the_end_the_tasks_retry_waits(self):
        database = Database(*(DependencyDown("db") for _ in range(3)))
        with pytest.raises(TaskFailure) as caught:
            await patiently(database.call, seconds=0, pause=0.01)
        assert (caught.value.kind, caught.value.code) == ("DEPENDENCY", "db")
        assert len(database.failures) == 2

    async def test_any_other_error_passes(self):
        with pytest.raises(ValueError, match="odd"):
            await patiently(Database(ValueError("odd")).call)
