"""From a table to a handler: its class, its field values, and one sentence for everything that does not fit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from rivers_core._annotations import Types, class_of, input_names, kinds_of, of_entry, of_item
from rivers_core._locations import resolve_location
from rivers_core._suggestions import did_you_mean
from rivers_core.config.references import admits_text, replaced, takes_handler
from rivers_core.config.spelling import spelt_by
from rivers_core.config.variables import decoded
from rivers_core.exceptions import ALWAYS_PROPAGATE, ConfigurationError, RiversError
from rivers_core.handler import BaseIOHandler, build_handler
from rivers_core.redaction import collect_secrets, redact, redact_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pydantic.fields import FieldInfo

    from rivers_core.config.layers import HandlerTable
    from rivers_core.plugins import PluginRegistry


class FieldValue(NamedTuple):
    """The effective value of a handler's field.

    Args:
        field: The name of the field.
        value: Its value; credentials are masked, locations absolute.
        origin: `"default"`, `"file"` (`"file (prod)"` for an environment's table), `".env"`, `"environment"`, `"code"`.
    """

    field: str
    value: Any
    origin: str


@dataclass(slots=True)
class Draft:
    """A handler on its way: which class it is going to be, with which values.

    Args:
        table: What is configured.
        cls: The handler class.
        values: Its values by the name they are given under, made ready for the class.
        findings: What does not fit.
        unusable: Fields whose value cannot be made ready, which the findings say already.
    """

    table: HandlerTable
    cls: type[BaseIOHandler]
    values: dict[str, Any]
    findings: list[str]
    unusable: set[str] = dataclass_field(default_factory=set)

    def build(self) -> BaseIOHandler:
        """Make the handler.

        Returns:
            The handler, made from these values alone.

        Raises:
            ConfigurationError: With every finding about this handler.
        """
        handler = None
        try:
            handler = build_handler(self.cls, self.values)
        except ValidationError as error:
            self.findings.extend(map(self._scrubbed, self._mistakes(error)))
        except ALWAYS_PROPAGATE:
            raise
        except BaseException as error:
            said = self._scrubbed(f"{type(error).__name__}: {error}")
            self.findings.append(f"{self.table.origin_of(()).place}: {said}")
        if handler is None or self.findings:
            raise refused(self.table.name, self.findings)
        return handler

    def fields(self) -> Iterator[FieldValue]:
        """Every field of the class with its effective value, without building the handler.

        Yields:
            Fields in the order of the class.
        """
        for name, field in self.cls.model_fields.items():
            given = next((key for key in _names_of(name, field) if key in self.values), None)
            if given is None:
                yield FieldValue(
                    name, _shown(name, field.get_default(call_default_factory=True), field), "default"
                )
            else:
                origin = self.table.origin_of((given,)).kind
                yield FieldValue(name, _shown(name, self.values[given], field), origin)

    def _mistakes(self, error: ValidationError) -> Iterator[str]:
        for item in error.errors(include_url=False, include_input=False, include_context=False):
            path = item["loc"]
            if item["type"] == "missing" and path[0] in self.unusable:
                continue
            message = (
                "is required" if item["type"] == "missing" else item["msg"].removeprefix("Value error, ")
            )
            yield f"{self.table.where(*path)}: {message[:1].lower()}{message[1:].rstrip('.')}."

    def _scrubbed(self, text: str) -> str:
        """The text of a validator, which may quote what it was given."""
        for name, value in self.values.items():
            field = self.cls.model_fields.get(name)
            annotation = None if field is None else field.annotation
            text = redact(text, collect_secrets(value, name, annotation=annotation))
        return text


def draft(
    table: HandlerTable, root: Path, registry: PluginRegistry, find: Callable[[str], BaseIOHandler]
) -> Draft:
    """Find the class of a configured handler and make its values ready.

    Args:
        table: What is configured.
        root: What relative locations are relative to.
        registry: Where the class is looked up.
        find: Gives another handler by its name.

    Returns:
        The draft, with the findings so far.

    Raises:
        ConfigurationError: No class is named, or it is not there.
    """
    cls = _class_of(table, registry)
    table = spelt_by(table, cls)
    values, findings = _known(table, cls)
    made = Draft(table, cls, values, findings)
    for name in list(values):
        field = cls.model_fields.get(name)
        annotation = Any if field is None else field.annotation
        values[name] = _absolute(cls, name, decoded(values[name], annotation), root)
        if takes_handler(annotation):
            try:
                values[name] = replaced(values[name], _finder(find, annotation))
            except RiversError as error:
                reasons = getattr(error, "findings", ()) or (str(error),)
                findings.extend(f"{table.where(name)}: {reason}" for reason in reasons)
                made.unusable.add(name)
                del values[name]
    return made


def refused(name: str, findings: list[str]) -> ConfigurationError:
    """The error for one handler that cannot be built.

    Args:
        name: The handler.
        findings: Why.

    Returns:
        The error to raise.
    """
    return ConfigurationError(f"The IO handler {name!r} is not configured correctly:", findings)


def _class_of(table: HandlerTable, registry: PluginRegistry) -> type[BaseIOHandler]:
    origin = table.use_origin or table.origin
    if table.use is None:
        known = ", ".join(sorted({offered.spec.name for offered in registry.handlers()})) or "there is none"
        raise refused(
            table.name, [f"{table.origin.key('use')}: is required; it names an installed handler: {known}."]
        )
    if isinstance(table.use, type) and issubclass(table.use, BaseIOHandler):
        return table.use
    if not isinstance(table.use, str):
        raise refused(
            table.name, [f"{origin.key('use')}: has to be the name of a handler, got {table.use!r}."]
        )
    try:
        return registry.handler(table.use)
    except RiversError as error:
        failure = refused(table.name, [f"{origin.key('use')}: {error}"])
        raise failure from error


def _known(table: HandlerTable, cls: type[BaseIOHandler]) -> tuple[dict[str, Any], list[str]]:
    names = input_names(cls.model_fields)
    values: dict[str, Any] = {}
    findings = []
    for key, value in table.values.items():
        if key in names or cls.model_config.get("extra") == "allow":
            values[key] = value
        elif cls.model_config.get("extra") == "forbid":
            findings.append(
                f"{table.where(key)}: {cls.__name__} does not have this setting."
                f"{did_you_mean(key, [*names, 'use'])} Its settings: {', '.join(cls.model_fields) or 'none'}."
            )
    return values, findings


def _finder(find: Callable[[str], BaseIOHandler], annotation: Any) -> Callable[[str], Any]:
    def found(name: str) -> Any:
        try:
            return find(name)
        except LookupError:
            if admits_text(annotation):
                return name
            raise

    return found


def _names_of(name: str, field: FieldInfo) -> list[str]:
    return [name, *sorted(input_names({name: field}) - {name})]


def _shown(name: str, value: Any, field: FieldInfo) -> Any:
    return redact_value(value, name, annotation=field.annotation)


def _absolute(cls: type[BaseIOHandler], name: str, value: Any, root: Path) -> Any:
    """Resolve the locations in a field's value: `location_fields`, and parts that are annotated as a path."""
    if name in cls.location_fields:
        return resolve_location(value, root)
    field = cls.model_fields.get(name)
    return value if field is None else _with_absolute_paths(value, (field.annotation,), root)


def _with_absolute_paths(value: Any, types: Types, root: Path) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _with_absolute_paths(item, of_entry(types, str(key)), root) for key, item in value.items()
        }
    if type(value) in (list, tuple, set):
        return type(value)(_with_absolute_paths(item, of_item(types), root) for item in value)
    return resolve_location(value, root) if _is_path(types) else value


def _is_path(types: Types) -> bool:
    kinds = {class_of(kind) for kind in kinds_of(types)} - {type(None), str}
    return bool(kinds) and all(isinstance(kind, type) and issubclass(kind, os.PathLike) for kind in kinds)
