"""JSON Schema of the configuration file."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from typing import ClassVar

import pytest
from pydantic import BaseModel, Field, SecretStr

from rivers_cli.config_schema import json_schema
from rivers_core import BaseIOHandler
from rivers_core.hooks import HandlerSpec, hookimpl
from rivers_core.plugins import PluginRegistry


class Bare(BaseIOHandler):
    def handle_output(self, context, obj):
        pass

    def load_input(self, context):
        pass


class Disk(Bare):
    location_fields: ClassVar[tuple[str, ...]] = ("store",)

    store: str
    size: int = 1
    key: SecretStr | None = None


class Merge(BaseModel):
    mode: str
    limit: int = 0


class Login(BaseModel):
    user: str
    pin: SecretStr
    parent: Login | None = None


class Table(Bare):
    table_uri: str
    merge: Merge | None = None
    token: SecretStr
    login: Login
    tokens: dict[str, SecretStr]


class Overlay(Bare):
    top: BaseIOHandler
    others: list[BaseIOHandler] = Field(default_factory=list)


MODULE = types.ModuleType("handlers_with_schemas")
for _class in (Bare, Disk, Table, Overlay):
    setattr(MODULE, _class.__name__, _class)


@hookimpl
def rivers_io_handlers():
    for name in ("Bare", "Disk", "Table", "Overlay"):
        yield HandlerSpec(name.lower(), f"{MODULE.__name__}:{name}", summary=f"{name}.")


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setitem(sys.modules, MODULE.__name__, MODULE)
    registry = PluginRegistry(entry_points=[])
    registry.register(types.SimpleNamespace(rivers_io_handlers=rivers_io_handlers), name="acme")
    return registry


@pytest.fixture
def schema(registry):
    return json_schema(registry)


def test_schema_is_json_and_closed(schema):
    assert json.loads(json.dumps(schema)) == schema
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == {
        "repository",
        "default_io_handler",
        "default_executor",
        "io_handlers",
        "executors",
        "assets",
        "durable",
        "storage",
        "plugins",
        "environments",
    }
    environment = schema["properties"]["environments"]["additionalProperties"]
    assert set(environment["properties"]) == set(schema["properties"]) - {"environments"}


def test_schema_lists_handlers_with_fields(schema):
    references = schema["properties"]["io_handlers"]["additionalProperties"]["oneOf"]
    assert references == [{"$ref": f"#/$defs/{name}"} for name in ("bare", "disk", "overlay", "table")]
    disk = schema["$defs"]["disk"]
    assert disk["properties"]["use"] == {"enum": ["disk", "acme:disk"], "description": "Disk."}
    assert disk["properties"]["size"] == {"default": 1, "title": "Size", "type": "integer"}
    assert (disk["required"], disk["additionalProperties"]) == (["use", "store"], False)


def test_schema_environment_accepts_any_handler_field(schema):
    environment = schema["properties"]["environments"]["additionalProperties"]
    table = environment["properties"]["io_handlers"]["additionalProperties"]
    assert table["properties"]["size"] == {"$ref": "#/$defs/disk/properties/size"}
    assert {"disk", "acme:disk"} <= set(table["properties"]["use"]["enum"])
    assert "required" not in table


def test_schema_does_not_require_secrets(schema):
    assert schema["$defs"]["table"]["required"] == ["use", "table_uri"]


def test_schema_handler_field_takes_name(schema):
    overlay = schema["$defs"]["overlay"]
    assert overlay["properties"]["top"] == {"$ref": "#/$defs/overlay/$defs/BaseIOHandler"}
    assert overlay["properties"]["others"]["items"] == {"$ref": "#/$defs/overlay/$defs/BaseIOHandler"}
    assert overlay["$defs"]["BaseIOHandler"]["type"] == "string"


def test_schema_references_nested_models(schema):
    merge = schema["$defs"]["table"]["properties"]["merge"]
    assert {"$ref": "#/$defs/table/$defs/Merge"} in merge["anyOf"]
    assert "limit" in schema["$defs"]["table"]["$defs"]["Merge"]["properties"]


def test_schema_references_resolve(schema):
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


def test_schema_broken_handler_has_no_fields(registry):
    broken = hookimpl(lambda: [HandlerSpec("broken", "no_such_module:Broken")])
    registry.register(types.SimpleNamespace(rivers_io_handlers=broken), name="zeta")
    broken_schema = json_schema(registry)["$defs"]["broken"]
    assert broken_schema["required"] == ["use"]
    assert "no_such_module" in broken_schema["description"]


def test_schema_conflicting_names_are_qualified(registry):
    implementation = hookimpl(lambda: [HandlerSpec("disk", "handlers_with_schemas:Bare")])
    registry.register(types.SimpleNamespace(rivers_io_handlers=implementation), name="zeta")
    assert {"acme:disk", "zeta:disk", "bare"} <= set(json_schema(registry)["$defs"])


def test_schema_accepts_rule_with_metadata(schema):
    for table in (
        schema["properties"],
        schema["properties"]["environments"]["additionalProperties"]["properties"],
    ):
        name, rule = table["assets"]["additionalProperties"]["anyOf"]
        assert name["type"] == "string"
        assert set(rule["properties"]) == {"handler", "metadata"}
        assert rule["additionalProperties"] is False


def test_schema_without_handlers():
    assert (
        json_schema(PluginRegistry(entry_points=[]))["properties"]["io_handlers"]["additionalProperties"]
        is True
    )


def test_schema_of_installed_handlers_opens_no_store():
    program = "from rivers_cli.config_schema import json_schema; print(sorted(json_schema()['$defs']))"
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True
    )
    assert "'memory'" in result.stdout
