"""Resolve the settings of a configured handler: its class, its values, and a finding for each problem."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from datetime import date, time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import ValidationError

from rivers_core._annotations import Types, kinds_of, of_entry, of_item
from rivers_core._hints import class_of
from rivers_core._locations import resolve_location
from rivers_core._messages import did_you_mean
from rivers_core.config.parser import DOTENV, Setting, join_key, problems
from rivers_core.config.sources import (
    PREFIX,
    HandlerSettingsSource,
    accepts_text,
    field_names,
    merge,
    normalize_name,
    takes_handler,
)
from rivers_core.exceptions import ALWAYS_PROPAGATE, ConfigurationError, RiversError
from rivers_core.handler import BaseIOHandler, build_handler
from rivers_core.redaction import collect_secrets, redact, redact_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from rivers_core.config.parser import HandlerSettings
    from rivers_core.plugins.registry import PluginRegistry


# Types of TOML besides text. A class may accept other values in code, such as a store object.
_NOT_LOCATIONS: Final = (bool, int, float, list, tuple, dict, date, time)


class FieldValue(NamedTuple):
    """Effective value of a handler's field.

    Args:
        field: Name of the field.
        value: Its value, with secrets redacted and absolute locations.
        origin: `"default"`, `"file"` (`"file (prod)"` for an environment's table), `".env"`, `"environment"`, `"code"`.
    """

    field: str
    value: Any
    origin: str


@dataclass(slots=True)
class ResolvedSettings:
    """Class and values of a configured handler.

    Args:
        name: Name of the handler.
        place: Where its class is named, for messages.
        cls: The handler class.
        settings: The settings by field name, the last with the highest precedence.
        values: Their merged values by field name, ready for the class.
        findings: One per problem.
    """

    name: str
    place: str
    cls: type[BaseIOHandler]
    settings: list[Setting]
    values: dict[str, Any]
    findings: list[str] = dataclass_field(default_factory=list)

    def build(self) -> BaseIOHandler:
        """Build the handler from these values alone, or raise an error with all findings about it."""
        handler = None
        try:
            handler = build_handler(self.cls, self.values)
        except ValidationError as error:
            self.findings.extend(map(self._redact, self._validation_findings(error)))
        except ALWAYS_PROPAGATE:
            raise
        except BaseException as error:  # such as a panic of a Rust extension, which is not an Exception
            self.findings.append(f"{self.place}: {self._redact(f'{type(error).__name__}: {error}')}")
        if handler is None or self.findings:
            raise invalid_settings(self.name, self.findings)
        return handler

    def fields(self) -> Iterator[FieldValue]:
        """Return the effective value of every field without building the handler."""
        for name, field in self.cls.model_fields.items():
            setting = self.setting_at((name,)) if name in self.values else None
            value = self.values[name] if setting else field.get_default(call_default_factory=True)
            origin = setting.origin if setting else "default"
            yield FieldValue(name, redact_value(value, name, annotation=field.annotation), origin)

    def setting_at(self, path: tuple[object, ...]) -> Setting | None:
        """Return the deciding setting at a path, above or below it; None if no source sets the field."""
        keys = tuple(map(str, path))
        for length in range(len(keys), 0, -1):
            for setting in reversed([item for item in self.settings if not item.problem]):
                depth = min(length, len(setting.path))
                if tuple(map(str, setting.path[:depth])) == keys[:depth]:
                    return setting
        return None

    def describe(self, *path: object) -> str:
        """Return where a value is written, for messages; also for a value that no source sets."""
        setting = self.setting_at((field_names(self.cls).get(str(path[0]), path[0]), *path[1:]))
        return join_key(self.place, *path) if setting is None else setting.describe(path)

    def _validation_findings(self, error: ValidationError) -> Iterator[str]:
        reported = {setting.path[0] for setting in self.settings if setting.path[0] not in self.values}
        names = field_names(self.cls)
        for item in error.errors(include_url=False, include_input=False, include_context=False):
            path = item["loc"]
            if item["type"] == "missing" and names.get(str(path[0])) in reported:
                continue
            place = self.describe(*path) if path else self.place
            if item["type"] == "missing":
                variable = "__".join((f"{PREFIX}{normalize_name(self.name)}", *map(str, path))).upper()
                yield f"{place}: is required. Set it there, or as {variable} in the environment or in .env."
            else:
                text = item["msg"].removeprefix("Value error, ")
                yield f"{place}: {text[:1].lower()}{text[1:].rstrip('.')}."

    def _redact(self, text: str) -> str:
        """Redact the values in the message of a validator, which may quote them."""
        for name, value in self.values.items():
            field = self.cls.model_fields.get(name)
            text = redact(text, collect_secrets(value, name, annotation=field and field.annotation))
        return text


def resolve(
    handler: str,
    sources: Sequence[HandlerSettings],
    root: Path,
    registry: PluginRegistry,
    find_handler: Callable[[str], BaseIOHandler],
    dotenv: Mapping[str, str],
    durable: Setting | None = None,
) -> ResolvedSettings:
    """Resolve the settings of a configured handler.

    Args:
        handler: Name of the handler.
        sources: Its settings, the last with the highest precedence.
        root: Folder that relative locations are relative to.
        registry: Registry to look the class up in.
        find_handler: Returns another handler by its name.
        dotenv: The variables of the `.env`, for the library of the handler's store.
        durable: The setting `durable`, which makes every handler flush its writes; None if it is not set.

    Raises:
        ConfigurationError: No class is named, or it is not available.
    """
    sources, selector = _effective_sources(sources)
    cls = _handler_class(handler, selector, registry)
    fields = field_names(cls)
    settings: list[Setting] = []
    for source in sources:
        decoded: Iterable[Setting] = source.settings
        if source.is_variables:
            decoded = HandlerSettingsSource(cls, source.settings, merge(settings)).settings()
        settings += [
            replace(item, path=(fields.get(item.path[0], item.path[0]), *item.path[1:])) for item in decoded
        ]
    settings += _store_settings(cls, merge(settings), dotenv)
    if durable is not None and durable.value:
        values = merge(settings)
        settings += [
            replace(durable, path=(name,), value=value)
            for name, value in cls.durable_settings(values).items()
            if name not in values
        ]
    result = ResolvedSettings(handler, selector.place, cls, settings, {})
    result.findings += _setting_findings(settings)
    for name, value in merge(settings).items():
        if name in cls.location_fields and isinstance(value, _NOT_LOCATIONS):
            result.findings.append(
                f"{result.describe(name)}: must be a path or URL, got a {type(value).__name__}."
            )
        elif name in cls.location_fields:
            result.values[name] = resolve_location(value, root)
        elif name in cls.model_fields:
            try:
                result.values[name] = _prepare(
                    value, (cls.model_fields[name].annotation,), root, find_handler
                )
            except RiversError as error:
                reasons = getattr(error, "findings", ()) or (str(error),)
                result.findings.extend(f"{result.describe(name)}: {reason}" for reason in reasons)
        elif cls.model_config.get("extra") == "allow":
            result.values[name] = value
        elif cls.model_config.get("extra") == "forbid":
            result.findings.append(
                f"{result.describe(name)}: {cls.__name__} does not have this setting."
                f"{did_you_mean(name, [*fields, 'use'])} Its settings: {', '.join(cls.model_fields) or 'none'}."
            )
    return result


def _store_settings(
    cls: type[BaseIOHandler], values: Mapping[str, Any], dotenv: Mapping[str, str]
) -> Iterator[Setting]:
    """Yield the options that variables for the library of the store supply and no other setting has."""
    variables = {name: value for name, value in dotenv.items() if name not in os.environ}
    if not variables:
        return
    for field, options in cls.settings_from_variables(values, variables).items():
        given = values.get(field) or {}
        for name, value in options.items() if isinstance(given, Mapping) else ():
            if name not in given:
                yield Setting((field, name), value, DOTENV, f"{name} ({DOTENV})")


def _setting_findings(settings: Sequence[Setting]) -> Iterator[str]:
    """Yield the problems of settings, without those in the file that a setting with higher precedence replaces."""
    for index, setting in enumerate(settings):
        if setting.problem and (
            setting.is_variable or not any(map(setting.is_replaced_by, settings[index + 1 :]))
        ):
            yield setting.finding


def invalid_settings(name: str, findings: list[str]) -> ConfigurationError:
    """Return the error for a handler that cannot be built."""
    return ConfigurationError(f"{problems(findings)} in the settings of IO handler {name!r}:", findings)


def _effective_sources(sources: Sequence[HandlerSettings]) -> tuple[list[HandlerSettings], HandlerSettings]:
    """Return the sources that apply to the class, and the one that selects it: the last that names one.

    Sources below one that names another class are dropped: their settings do not apply to it.
    """
    effective: list[HandlerSettings] = []
    selector = sources[0]
    for source in sources:
        if source.use is not None:
            if selector.use is not None and source.use != selector.use:
                effective.clear()
            selector = source
        effective.append(source)
    return effective, selector


def _handler_class(name: str, source: HandlerSettings, registry: PluginRegistry) -> type[BaseIOHandler]:
    key = source.place if source.is_variables else join_key(source.place, "use")
    if source.problem:
        raise invalid_settings(name, [f"{key}: {source.problem}"])
    if source.use is None:
        installed = ", ".join(sorted({item.spec.name for item in registry.handlers()})) or "none"
        raise invalid_settings(name, [f"{key}: is required. Installed handlers: {installed}."])
    if isinstance(source.use, type) and issubclass(source.use, BaseIOHandler):
        return source.use
    if not isinstance(source.use, str):
        raise invalid_settings(name, [f"{key}: must be the name of a handler, got {source.use!r}."])
    try:
        return registry.handler(source.use)
    except RiversError as error:
        raise invalid_settings(name, [f"{key}: {error}"]) from error


def _prepare(value: Any, types: Types, root: Path, find_handler: Callable[[str], BaseIOHandler]) -> Any:
    """Replace, in the parts of a value, relative paths by absolute ones and names of handlers by the handlers.

    The value is not validated yet; `types` are those that it may have.
    """
    if isinstance(value, Mapping):
        return {
            key: _prepare(item, of_entry(types, str(key)), root, find_handler) for key, item in value.items()
        }
    if type(value) in (list, tuple, set):
        return type(value)(_prepare(item, of_item(types), root, find_handler) for item in value)
    if isinstance(value, str) and takes_handler(types):
        try:
            return find_handler(value)
        except LookupError:
            if accepts_text(types):
                return value
            raise
    return resolve_location(value, root) if _is_path(types) else value


def _is_path(types: Types) -> bool:
    """Return whether text is a path: a path type is allowed, and no other types except `str` and `None`."""
    kinds = {class_of(kind) for kind in kinds_of(types)} - {type(None), str}
    return bool(kinds) and all(isinstance(kind, type) and issubclass(kind, os.PathLike) for kind in kinds)  # pyright: ignore[reportGeneralTypeIssues] - known to take subclasses
