"""The JSON Schema of a configuration file, from the handlers that are installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic.json_schema import GenerateJsonSchema

from rivers_core.exceptions import RiversError
from rivers_core.handler import BaseIOHandler
from rivers_core.handler.masking import holds_secret
from rivers_core.plugins import get_registry

if TYPE_CHECKING:
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import core_schema

    from rivers_core.plugins.registry import PluginRegistry
    from rivers_core.plugins.spec import HandlerSpec
    from rivers_core.plugins.states import Registration

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def json_schema(registry: PluginRegistry | None = None) -> dict[str, Any]:
    """The schema of `rivers.toml`: its tables, and for each installed handler the settings it takes.

    Args:
        registry: Where handlers are looked up; None is the registry of the process.

    Returns:
        A JSON Schema. A handler that is broken is left without its settings.
    """
    offered = _offered(registry or get_registry())
    definitions: dict[str, Any] = {}
    for use, provided in offered.items():
        definitions[use] = _handler(use, provided, registry or get_registry())
    handlers = {"oneOf": [{"$ref": f"#/$defs/{_pointer(use)}"} for use in offered]} if offered else True
    uses = [name for use, provided in offered.items() for name in _spellings(use, provided)]
    overrides = _overrides(definitions, uses)
    tables = _tables(list(offered))
    environment = _object(
        {**tables, "io_handlers": _table(overrides, "Settings laid over those of the base.")}
    )
    return {
        "$schema": DIALECT,
        "title": "rivers.toml",
        "$defs": definitions,
        **_object(
            {
                **tables,
                "io_handlers": _table(handlers, "IO handlers by the name that assets use."),
                "environments": _table(environment, "Tables laid over the base, by environment."),
            }
        ),
    }


class _HandlerSchema(GenerateJsonSchema):
    """Takes any value where a type has no JSON Schema, and the name of a handler where a handler is meant."""

    ignored_warning_kinds: Final = {"skipped-choice", "non-serializable-default"}  # type: ignore[misc]
    described: ClassVar[type | None] = None

    def handle_invalid_for_json_schema(
        self, schema: core_schema.CoreSchema, error_info: str
    ) -> JsonSchemaValue:
        return {}

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        if schema["cls"] is not self.described and issubclass(schema["cls"], BaseIOHandler):
            return {"type": "string", "description": "The name of another handler."}
        return super().model_schema(schema)


def _offered(registry: PluginRegistry) -> dict[str, Registration[HandlerSpec]]:
    """By what may stand after `use =`: the name, or the qualified name where two claim it."""
    everything = registry.handlers()
    names = [provided.spec.name for provided in everything]
    return {
        provided.spec.name if names.count(provided.spec.name) == 1 else provided.qualified_name: provided
        for provided in everything
    }


def _spellings(use: str, provided: Registration[HandlerSpec]) -> list[str]:
    """What may stand after `use =` for one handler."""
    return list(dict.fromkeys((use, provided.qualified_name)))


def _overrides(definitions: dict[str, Any], uses: list[str]) -> dict[str, Any]:
    """The table of a handler in an environment: fields of any handler, since which one it is stands in the base."""
    fields: dict[str, list[dict[str, str]]] = {}
    for use, definition in definitions.items():
        for field in definition["properties"]:
            reference = {"$ref": f"#/$defs/{_pointer(use)}/properties/{_pointer(field)}"}
            fields.setdefault(field, []).append(reference)
    properties: dict[str, Any] = {
        field: found[0] if len(found) == 1 else {"anyOf": found} for field, found in fields.items()
    }
    is_open = any(definition.get("additionalProperties", True) for definition in definitions.values())
    properties["use"] = {"enum": uses}
    return {"type": "object", "properties": properties, "additionalProperties": is_open or not definitions}


def _handler(use: str, provided: Registration[HandlerSpec], registry: PluginRegistry) -> dict[str, Any]:
    named = {
        "enum": _spellings(use, provided),
        "description": provided.spec.summary or f"From {provided.distribution}.",
    }
    try:
        cls = registry.handler(provided.qualified_name)
        schema = cls.model_json_schema(
            ref_template=f"#/$defs/{_pointer(use)}/$defs/{{model}}",
            schema_generator=type("_Schema", (_HandlerSchema,), {"described": cls}),
        )
    except (RiversError, TypeError, ValueError) as error:
        return {
            "type": "object",
            "properties": {"use": named},
            "required": ["use"],
            "description": f"Its settings are not known: {error}",
        }
    required = [name for name in schema.get("required", ()) if not _is_secret(cls, name)]
    closed: dict[str, Any] = (
        {"additionalProperties": False} if cls.model_config.get("extra") == "forbid" else {}
    )
    kept: dict[str, Any] = {key: schema[key] for key in ("title", "$defs") if key in schema}
    return {
        **kept,
        "type": "object",
        "description": provided.spec.summary,
        "properties": {"use": named, **schema.get("properties", {})},
        "required": ["use", *required],
        **closed,
    }


def _is_secret(cls: type[BaseIOHandler], name: str) -> bool:
    field = cls.model_fields.get(name)
    return field is not None and holds_secret(field.annotation)


def _tables(names: list[str]) -> dict[str, Any]:
    handler = {"type": "string", "description": "The name of a handler.", "examples": names}
    patterns = {"type": "array", "items": {"type": "string"}}
    return {
        "repository": {"type": "string", "description": "What the command loads: 'package.module:name'."},
        "default_io_handler": handler,
        "assets": _table(handler, "Pattern of asset names to handler; the most specific one wins."),
        "plugins": _object(
            {
                "allow": {**patterns, "description": "Distributions that may be imported."},
                "deny": {**patterns, "description": "Distributions that may not."},
                "pin": _table({"type": "string"}, "Name to the distribution that provides it."),
            }
        ),
    }


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _table(values: Any, description: str) -> dict[str, Any]:
    return {"type": "object", "description": description, "additionalProperties": values}


def _pointer(use: str) -> str:
    return use.replace("~", "~0").replace("/", "~1")
