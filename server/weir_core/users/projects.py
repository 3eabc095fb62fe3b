"""Projects: what resources belong to, and what roles are given in."""

from collections.abc import Sequence
from typing import Any

from weir_core.db import Database
from weir_core.errors import InvalidArgument, NotFound, PermissionMissing
from weir_core.principals import Caller
from weir_core.users import repository
from weir_core.users.models import Binding
from weir_core.users.permissions import ALL_PROJECTS, PROJECTS, ROLES, missing


class Projects:
    """The projects there are; none ever goes, so those that were seen are remembered."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._seen: set[str] = set()

    async def require(self, name: str) -> None:
        """NotFound where there is no project of that name."""
        if not await self.exists(name):
            raise NotFound("project", name)

    async def exists(self, name: str) -> bool:
        """True where there is a project of that name."""
        if name not in self._seen:
            async with self._db.read() as tx:
                self._seen = await repository.projects(tx)
        return name in self._seen

    async def make_first(self) -> None:
        """Make the projects that every installation has, where they are not there."""

        async def work(tx: Any) -> None:
            for name in PROJECTS:
                await repository.add_project(tx, name)

        if not all([await self.exists(name) for name in PROJECTS]):
            await self._db.write(work)

    async def check_grant(self, caller: Caller, bindings: Sequence[Binding], field: str) -> None:
        """Refuse roles and projects that are not there, and rights that the caller does not hold."""
        for index, binding in enumerate(bindings):
            if binding.role not in ROLES:
                raise InvalidArgument.at(
                    f"{field}[{index}].role", f"must be one of {', '.join(ROLES)}, not {binding.role!r}"
                )
            if (right := missing(caller, binding)) is not None:
                raise PermissionMissing(right, binding.project)
            if binding.project != ALL_PROJECTS and not await self.exists(binding.project):
                raise InvalidArgument.at(
                    f"{field}[{index}].project", f"there is no project {binding.project!r}"
                )
