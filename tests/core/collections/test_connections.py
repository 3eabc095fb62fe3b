import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from tests.fixtures.collecting import EDITOR_RIGHTS, SOURCE, Ground, caller
from weir_core.collections.models import NewConnection, Politeness
from weir_core.errors import (
    InvalidArgument,
    NameTaken,
    NotFound,
    PermissionMissing,
    RequestIdReused,
    SchemaMismatch,
)
from weir_core.paging import Page

SECRET = "hunter2-hunter2"


def wanted(name: str = "shop", **changed: Any) -> NewConnection:
    values: dict[str, Any] = {
        "project": "",
        "name": name,
        "connector": "shop",
        "settings": {"base_url": "https://shop.example"},
        "secrets": {"token": SECRET},
    }
    return NewConnection(**(values | changed))


class TestCreateConnection:
    async def test_it_is_stored_in_the_default_project_with_its_creator(self, ground: Ground):
        made = await ground.connections.create_connection(ground.editor, wanted())
        assert made == await ground.connections.get_connection(ground.editor, made.id)
        assert (made.project, made.name, made.revision) == ("default", "shop", 1)
        assert made.creator == ground.editor.principal

    async def test_p12_the_secret_is_nowhere_in_clear_text(self, ground: Ground):
        made = await ground.connections.create_connection(ground.editor, wanted(), "once")
        assert made.secret_names == ["token"]
        assert SECRET not in repr(made)
        assert SECRET not in repr(wanted())
        async with ground.db.read() as tx:
            row = (await tx.execute(text("SELECT * FROM connection"))).one()
        kept = b"|".join(value if isinstance(value, bytes) else str(value).encode() for value in row)
        assert SECRET.encode() not in kept

    async def test_a_taken_name_is_refused_within_the_project_only(self, ground: Ground):
        await ground.connections.create_connection(ground.editor, wanted())
        with pytest.raises(NameTaken):
            await ground.connections.create_connection(ground.editor, wanted())
        other = await ground.connections.create_connection(ground.editor, wanted(project="system"))
        assert other.project == "system"

    async def test_an_unknown_connector_is_refused_with_those_known(self, ground: Ground):
        with pytest.raises(InvalidArgument, match=r"connection.connector: .*'ftp'; known are shop"):
            await ground.connections.create_connection(ground.editor, wanted(connector="ftp"))

    async def test_an_unknown_project_is_refused(self, ground: Ground):
        with pytest.raises(NotFound, match="project 'nowhere'"):
            await ground.connections.create_connection(ground.editor, wanted(project="nowhere"))

    async def test_settings_that_do_not_fit_name_their_field(self, ground: Ground):
        with pytest.raises(SchemaMismatch) as caught:
            await ground.connections.create_connection(
                ground.editor, wanted(settings={"base_url": "ftp://x"})
            )
        assert [one.field for one in caught.value.violations] == ["connection.settings.base_url"]

    async def test_private_addresses_need_a_permission_besides(self, ground: Ground):
        plain = caller("connections.write", "connections.read")
        with pytest.raises(PermissionMissing, match=r"connections\.private"):
            await ground.connections.create_connection(plain, wanted(allow_private_addresses=True))
        made = await ground.connections.create_connection(ground.editor, wanted(allow_private_addresses=True))
        assert made.allow_private_addresses

    async def test_a_pace_is_for_connectors_that_ask_by_requests(self, ground: Ground):
        polite = Politeness(max_concurrency=2, max_per_minute=60)
        with pytest.raises(InvalidArgument, match=r"connection.politeness.max_per_minute: must be 0"):
            await ground.connections.create_connection(ground.editor, wanted(politeness=polite))
        made = await ground.connections.create_connection(
            ground.editor, wanted(politeness=Politeness(max_concurrency=2))
        )
        assert made.politeness == Politeness(max_concurrency=2)
        await ground.connections.register_connectors([replace(SOURCE, can_pace=True)])
        paced = await ground.connections.create_connection(ground.editor, wanted("paced", politeness=polite))
        assert paced.politeness == polite

    async def test_p13_a_right_in_another_project_is_not_enough(self, ground: Ground):
        with pytest.raises(PermissionMissing):
            await ground.connections.create_connection(caller(*EDITOR_RIGHTS, project="system"), wanted())

    async def test_p08_the_same_request_gives_the_same_connection(self, ground: Ground):
        first = await ground.connections.create_connection(ground.editor, wanted(), "r1")
        assert await ground.connections.create_connection(ground.editor, wanted(), "r1") == first

    async def test_p08_the_same_request_at_the_same_time_makes_one(self, ground: Ground):
        made = await asyncio.gather(
            *(ground.connections.create_connection(ground.editor, wanted(), "r1") for _ in range(4))
        )
        assert len({one.id for one in made}) == 1

    @pytest.mark.parametrize("changed", [{"name": "other"}, {"secrets": {"token": "another"}}])
    async def test_p08_other_content_is_refused(self, ground: Ground, changed: dict[str, Any]):
        await ground.connections.create_connection(ground.editor, wanted(), "r1")
        with pytest.raises(RequestIdReused):
            await ground.connections.create_connection(ground.editor, wanted(**changed), "r1")


class TestGetConnection:
    async def test_p13_what_the_caller_may_not_see_looks_absent(self, ground: Ground):
        made = await ground.connections.create_connection(ground.editor, wanted())
        with pytest.raises(NotFound):
            await ground.connections.get_connection(caller("connections.read", project="system"), made.id)


class TestListConnections:
    async def test_by_name_filtered_and_of_the_callers_projects(self, ground: Ground):
        for name, project in (("b", ""), ("a", ""), ("c", "system")):
            await ground.connections.create_connection(ground.editor, wanted(name, project=project))
        names = [
            one.name
            for one in await ground.connections.list_connections(ground.editor, Page(9), "project = default")
        ]
        assert names == ["a", "b"]
        there = caller("connections.read", project="system")
        assert [one.name for one in await ground.connections.list_connections(there, Page(9), "")] == ["c"]


class TestListConnectors:
    async def test_what_a_worker_told_is_listed_and_told_anew(self, ground: Ground):
        first = await ground.connections.list_connectors(Page(9), "")
        assert [one.name for one in first] == ["shop"]
        await ground.connections.register_connectors(first)
        assert await ground.connections.list_connectors(Page(9), 'name = "shop"') == first
        assert await ground.connections.list_connectors(Page(9), 'name = "ftp"') == []
