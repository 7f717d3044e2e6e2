"""JSON Schema of the configuration file, generated from the installed handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic.json_schema import GenerateJsonSchema

from rivers_core import BaseIOHandler
from rivers_core.exceptions import RiversError
from rivers_core.plugins import get_registry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import core_schema

    from rivers_core.hooks import HandlerSpec
    from rivers_core.plugins import PluginRegistry, Registration

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def json_schema(registry: PluginRegistry | None = None) -> dict[str, Any]:
    """Generate the schema of `rivers.toml`: its tables, and the settings of each installed handler.

    Args:
        registry: Registry to read the handlers from; None is the registry of the process.

    Returns:
        A JSON Schema. The settings of a broken handler are left open.
    """
    registry = registry or get_registry()
    handlers = _handlers_by_use(registry)
    definitions = {use: _handler_schema(use, item, registry) for use, item in handlers.items()}
    references = [{"$ref": f"#/$defs/{_escape(use)}"} for use in handlers]
    uses = [name for use, item in handlers.items() for name in _accepted_uses(use, item)]
    tables = _section_schemas(list(handlers))
    environment = _object(
        {
            **tables,
            "io_handlers": _table(
                _environment_handler(definitions, uses), "Settings merged over those of the base."
            ),
        }
    )
    return {
        "$schema": DIALECT,
        "title": "rivers.toml",
        "$defs": definitions,
        **_object(
            {
                **tables,
                "io_handlers": _table(
                    {"oneOf": references} if references else True, "IO handlers by the name that assets use."
                ),
                "environments": _table(environment, "Tables merged over the base, by environment."),
            }
        ),
    }


class _HandlerSchema(GenerateJsonSchema):
    """Accept any value for types without a JSON Schema, and a name where a field holds another handler."""

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


def _handlers_by_use(registry: PluginRegistry) -> dict[str, Registration[HandlerSpec]]:
    """Map the value of `use` to the handler: its name, or its qualified name if two packages claim the name."""
    registrations = registry.handlers()
    names = [item.spec.name for item in registrations]
    return {
        item.spec.name if names.count(item.spec.name) == 1 else item.qualified_name: item
        for item in registrations
    }


def _accepted_uses(use: str, item: Registration[HandlerSpec]) -> list[str]:
    return list(dict.fromkeys((use, item.qualified_name)))


def _environment_handler(definitions: Mapping[str, Any], uses: list[str]) -> dict[str, Any]:
    """Describe a handler's table in an environment: fields of any handler, because the base may name the class."""
    fields: dict[str, list[dict[str, str]]] = {}
    for use, definition in definitions.items():
        for field in definition["properties"]:
            reference = {"$ref": f"#/$defs/{_escape(use)}/properties/{_escape(field)}"}
            fields.setdefault(field, []).append(reference)
    properties: dict[str, Any] = {
        field: references[0] if len(references) == 1 else {"anyOf": references}
        for field, references in fields.items()
    }
    is_open = any(definition.get("additionalProperties", True) for definition in definitions.values())
    properties["use"] = {"enum": uses}
    return {"type": "object", "properties": properties, "additionalProperties": is_open or not definitions}


def _handler_schema(use: str, item: Registration[HandlerSpec], registry: PluginRegistry) -> dict[str, Any]:
    use_schema = {
        "enum": _accepted_uses(use, item),
        "description": item.spec.summary or f"From {item.distribution}.",
    }
    try:
        cls = registry.handler(item.qualified_name)
        schema = cls.model_json_schema(
            ref_template=f"#/$defs/{_escape(use)}/$defs/{{model}}",
            schema_generator=type("_Schema", (_HandlerSchema,), {"described": cls}),
        )
    except (RiversError, TypeError, ValueError) as error:
        return {
            "type": "object",
            "properties": {"use": use_schema},
            "required": ["use"],
            "description": f"The settings could not be read: {error}",
        }
    models = schema.get("$defs", {})
    properties = schema.get("properties", {})
    # a secret usually comes from a variable, so the file does not have to contain it
    required = [name for name in schema.get("required", ()) if not _holds_secret(properties[name], models)]
    result: dict[str, Any] = {key: schema[key] for key in ("title", "$defs") if key in schema}
    result |= {
        "type": "object",
        "description": item.spec.summary,
        "properties": {"use": use_schema, **properties},
        "required": ["use", *required],
    }
    return result | ({"additionalProperties": False} if cls.model_config.get("extra") == "forbid" else {})


def _holds_secret(schema: Any, models: Mapping[str, Any], parents: frozenset[str] = frozenset()) -> bool:
    """Return whether pydantic marked the value, or a part of it, as write-only, as it does for its secret types."""
    if isinstance(schema, list):
        return any(_holds_secret(item, models, parents) for item in schema)
    if not isinstance(schema, dict):
        return False
    model = str(schema.get("$ref", "")).rpartition("/")[2]
    if model in models and model not in parents:
        return _holds_secret(models[model], models, parents | {model})
    return schema.get("writeOnly") is True or _holds_secret(list(schema.values()), models, parents)


def _section_schemas(names: list[str]) -> dict[str, Any]:
    handler = {"type": "string", "description": "The name of a handler.", "examples": names}
    metadata = {"type": "object", "description": "Metadata of the assets, such as options of their handler."}
    patterns = {"type": "array", "items": {"type": "string"}}
    return {
        "repository": {
            "type": "string",
            "description": "Repository that the command loads: 'package.module:name'.",
        },
        "default_io_handler": handler,
        "default_executor": {"type": "string", "description": "The name of an executor."},
        "durable": {"type": "boolean", "description": "Flush every write on a local disk before it returns."},
        "storage": _object(
            {
                "url": {
                    "type": "string",
                    "description": "The event log: a folder, or a URL such as postgresql://user@host/database.",
                },
                "durable": {"type": "boolean", "description": "Whether events survive a power cut."},
            }
        ),
        "executors": _table(
            {"type": "object", "properties": {"use": {"type": "string"}}, "required": ["use"]},
            "Name to an executor (`use`) and its arguments.",
        ),
        "assets": _table(
            {"anyOf": [handler, _object({"handler": handler, "metadata": metadata})]},
            "Pattern of asset names to handler, or to handler and metadata; the most specific one wins.",
        ),
        "plugins": _object(
            {
                "allow": {**patterns, "description": "Distributions that may be imported."},
                "deny": {**patterns, "description": "Distributions that may not be imported."},
                "pin": _table({"type": "string"}, "Name to the distribution that provides it."),
            }
        ),
    }


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _table(values: Any, description: str) -> dict[str, Any]:
    return {"type": "object", "description": description, "additionalProperties": values}


def _escape(use: str) -> str:
    """Escape a key for a JSON pointer."""
    return use.replace("~", "~0").replace("/", "~1")
