"""The JSON Schema completes the fields of whatever handler is installed."""

from __future__ import annotations

import json
import subprocess
import sys
import types

import pytest

from rivers_core.config import json_schema
from rivers_core.hooks import HandlerSpec, hookimpl
from rivers_core.plugins import PluginRegistry


@pytest.fixture
def schema(registry):
    return json_schema(registry)


def test_it_is_json_and_closed(schema):
    assert json.loads(json.dumps(schema)) == schema
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == {
        "repository",
        "default_io_handler",
        "io_handlers",
        "assets",
        "plugins",
        "environments",
    }
    environment = schema["properties"]["environments"]["additionalProperties"]
    assert set(environment["properties"]) == set(schema["properties"]) - {"environments"}


def test_every_installed_handler_is_offered_with_its_fields(schema):
    references = schema["properties"]["io_handlers"]["additionalProperties"]["oneOf"]
    assert references == [
        {"$ref": f"#/$defs/{name}"} for name in ("bare", "disk", "either", "overlay", "table")
    ]
    disk = schema["$defs"]["disk"]
    assert disk["properties"]["use"] == {"enum": ["disk", "acme:disk"], "description": "Disk."}
    assert disk["properties"]["size"] == {"default": 1, "title": "Size", "type": "integer"}
    assert (disk["required"], disk["additionalProperties"]) == (["use", "store"], False)


def test_an_environment_takes_the_fields_of_every_handler_and_requires_none(schema):
    environment = schema["properties"]["environments"]["additionalProperties"]
    table = environment["properties"]["io_handlers"]["additionalProperties"]
    assert table["properties"]["size"] == {"$ref": "#/$defs/disk/properties/size"}
    assert {"disk", "acme:disk"} <= set(table["properties"]["use"]["enum"])
    assert "required" not in table


def test_a_secret_is_not_required_for_it_may_come_from_a_variable(schema):
    assert schema["$defs"]["table"]["required"] == ["use", "table_uri"]


def test_a_field_that_holds_a_handler_takes_a_name(schema):
    overlay = schema["$defs"]["overlay"]
    assert overlay["properties"]["top"] == {"$ref": "#/$defs/overlay/$defs/BaseIOHandler"}
    assert overlay["properties"]["others"]["items"] == {"$ref": "#/$defs/overlay/$defs/BaseIOHandler"}
    assert overlay["$defs"]["BaseIOHandler"]["type"] == "string"


def test_nested_models_are_referred_to_where_they_are(schema):
    merge = schema["$defs"]["table"]["properties"]["merge"]
    assert {"$ref": "#/$defs/table/$defs/Merge"} in merge["anyOf"]
    assert "limit" in schema["$defs"]["table"]["$defs"]["Merge"]["properties"]


def test_every_reference_leads_somewhere(schema):
    def references(value):
        if isinstance(value, dict):
            yield from [value["$ref"]] if "$ref" in value else []
            value = list(value.values())
        if isinstance(value, list):
            for item in value:
                yield from references(item)

    for reference in references(schema):
        place = schema
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


def test_a_broken_handler_is_offered_without_its_fields(registry):
    broken = hookimpl(lambda: [HandlerSpec("broken", "no_such_module:Broken")])
    registry.register(types.SimpleNamespace(rivers_io_handlers=broken), name="zeta")
    made = json_schema(registry)["$defs"]["broken"]
    assert made["required"] == ["use"]
    assert "no_such_module" in made["description"]


def test_a_name_that_two_claim_is_offered_by_its_qualified_names(registry):
    other = hookimpl(lambda: [HandlerSpec("disk", "handlers_of_the_config_tests:Bare")])
    registry.register(types.SimpleNamespace(rivers_io_handlers=other), name="zeta")
    assert {"acme:disk", "zeta:disk", "bare"} <= set(json_schema(registry)["$defs"])


def test_without_handlers_there_is_still_a_schema():
    assert (
        json_schema(PluginRegistry(entry_points=[]))["properties"]["io_handlers"]["additionalProperties"]
        is True
    )


def test_the_installed_handlers_have_a_schema_and_no_store_is_opened():
    program = "from rivers_core.config import json_schema; print(sorted(json_schema()['$defs']))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True
    )
    assert "'memory'" in done.stdout
