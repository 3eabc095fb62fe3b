"""The examples in docs/connectors.md are settings that the connectors take."""

import json
from typing import Any

import pytest

from tests.structure.documents import documents
from weir_core.collections.settings import check_collection, check_connection
from weir_workers.connectors.registry import collection_schema, connection_schema, connector

[DOCUMENT] = [one for one in documents() if one.path.name == "connectors.md"]
EXAMPLES = [json.loads(text) for kind, text in DOCUMENT.fences if kind == "json"]
OWN = [one for one in EXAMPLES if one.get("connector") in {"sql", "files", "singer", "airbyte"}]


@pytest.mark.parametrize("example", OWN, ids=[f"{at}-{one['connector']}" for at, one in enumerate(OWN)])
def test_each_example_is_taken(example: dict[str, Any]):
    found = connector(example["connector"])
    settings, secrets, collection = example["settings"], example.get("secrets", {}), example["collection"]
    check_connection(found.name, connection_schema(found), settings, secrets)
    check_collection(found.name, collection_schema(found), collection)
    found.connection_settings.model_validate({**settings, **secrets})
    found.collection_settings.model_validate(collection)


def test_each_connector_has_some():
    assert {one["connector"] for one in OWN} == {"sql", "files", "singer", "airbyte"}
