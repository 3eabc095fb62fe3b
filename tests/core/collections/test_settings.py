from typing import Any

import pytest

from tests.fixtures.collecting import CONNECTION_SCHEMA
from weir_core.collections.settings import check_collection, check_connection, secret_names
from weir_core.errors import SchemaMismatch

URL = {"base_url": "https://shop.example"}


def faults(settings: dict[str, Any], secrets: dict[str, str] | None = None) -> dict[str, str]:
    with pytest.raises(SchemaMismatch) as caught:
        check_connection("shop", CONNECTION_SCHEMA, settings, secrets or {})
    return {one.field: one.description for one in caught.value.violations}


class TestCheckConnection:
    def test_what_fits_passes(self):
        check_connection("shop", CONNECTION_SCHEMA, URL | {"timeout": 5}, {"token": "abcd"})

    def test_a_missing_setting(self):
        assert faults({}) == {"connection.settings.base_url": "must be set"}

    def test_an_unknown_setting_is_told_with_those_known(self):
        (text,) = faults(URL | {"bas_url": "x"}).values()
        assert text == "has no 'bas_url'; known are base_url, timeout, token"

    def test_a_wrong_value_is_shown(self):
        assert faults(URL | {"timeout": "soon"}) == {
            "connection.settings.timeout": "must be of type number, not 'soon'"
        }

    def test_p12_a_secret_among_the_settings_is_refused_without_its_value(self):
        found = faults(URL | {"token": "hunter2"})
        assert list(found) == ["connection.settings.token"]
        assert "hunter2" not in str(found)
        assert "connection.secrets.token" in found["connection.settings.token"]

    def test_an_unknown_secret_is_told_with_those_known(self):
        assert faults(URL, {"password": "hunter2"}) == {
            "connection.secrets.password": "is no secret of the connector 'shop', which has token"
        }

    def test_p12_a_secret_that_breaks_its_rule_is_not_shown(self):
        found = faults(URL, {"token": "pw7"})
        assert list(found) == ["connection.secrets.token"]
        assert "pw7" not in str(found)


class TestSecretNames:
    def test_write_only_properties_also_where_they_may_be_null(self):
        assert secret_names(CONNECTION_SCHEMA) == {"token"}
        assert secret_names({"properties": {"a": {"writeOnly": True}, "b": {"type": "string"}}}) == {"a"}


class TestCheckCollection:
    def test_the_path_is_that_of_the_request(self):
        schema = {"type": "object", "properties": {"columns": {"items": {"type": "string"}}}}
        with pytest.raises(SchemaMismatch) as caught:
            check_collection("shop", schema, {"columns": ["id", 7]})
        (one,) = caught.value.violations
        assert one.field == "collection.settings.columns[1]"
