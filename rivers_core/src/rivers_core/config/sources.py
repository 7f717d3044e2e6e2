"""Settings of handlers from environment variables and from the `.env` next to the configuration."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Union

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource

from rivers_core._annotations import Types, fields_of, input_names, kinds_of, of_entry
from rivers_core._hints import class_of
from rivers_core._messages import did_you_mean
from rivers_core.config.parser import DOTENV, ENVIRONMENT_VARIABLE, HandlerSettings, Setting, check_depth
from rivers_core.exceptions import ConfigurationError
from rivers_core.handler import BaseIOHandler

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from rivers_core.config.parser import Document

PREFIX: Final = "RIVERS_IO_HANDLERS__"


class HandlerSettingsSource(EnvSettingsSource):
    """Decode the variables of one handler from one source.

    The stock source of pydantic-settings (2.14 to 2.16) looks up variables by field. This one looks up fields by
    variable, because the stock source
    - converts keys below a mapping field to lower case, while headers and store options may need their letters;
    - ignores variables without a field, so that a misspelled one silently has no effect;
    - stops at the first invalid JSON and names the field, not the variable;
    - returns merged values, which hides from which variable a part of a value comes.
    Values are decoded as the stock source does, apart from `decode_complex_value`.
    """

    def __init__(self, cls: type[BaseIOHandler], variables: list[Setting], lower: Mapping[str, Any]) -> None:
        # without a delimiter the stock source does not look for variables of nested fields
        super().__init__(cls, env_prefix="", env_nested_delimiter="")
        self._handler_cls = cls
        self._variables = variables
        self._lower = lower

    def __call__(self) -> dict[str, Any]:
        """Return the merged values by field name."""
        return merge(self.settings())

    def settings(self) -> Iterator[Setting]:
        """Decode each variable: whole fields first, because variables for parts of a field are merged into it."""
        for variable in sorted(self._variables, key=lambda item: (len(item.path), item.place)):
            path, annotation, problem = self._resolve_path(variable.path)
            value = variable.value
            if not problem:
                try:
                    value = self._decode(path, annotation, value)
                    check_depth({"": value}, variable.place)
                except (RecursionError, ConfigurationError):
                    problem = "nested too deeply. Use a flatter structure."
                except ValueError as error:
                    problem = f"invalid JSON: {error}."
            yield replace(variable, path=path, value=value, problem=problem)

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """Decode JSON. Text remains text where the field accepts text, or takes a handler by its name."""
        types = (field.annotation,)
        try:
            decoded = super().decode_complex_value(field_name, field, value)
        except ValueError:
            if accepts_text(types) or takes_handler(types):
                return value
            raise
        # `str | list[str]`: the stock source returns the number 5 for "5", which neither type accepts.
        return value if accepts_text(types) and not isinstance(decoded, (dict, list)) else decoded

    def field_is_complex(self, field: FieldInfo) -> bool:
        """Return whether to try JSON, which includes fields that accept any value."""
        return field.annotation is Any or super().field_is_complex(field)

    def _resolve_path(self, path: tuple[str, ...]) -> tuple[tuple[str, ...], Any, str]:
        """Return the path in the case of the fields, the annotation at its end, and a problem.

        Keys that are not fields take the case of an equal key from a source with lower precedence.
        """
        types: Types = (self._handler_cls,)
        level: Any = self._lower
        keys: list[str] = []
        for part in path:
            fields = sorted({name for kind in kinds_of(types) for name in fields_of(kind) or ()})
            existing = level if isinstance(level, dict) else {}
            key = _same_letters(part, [*fields, *existing]) or (part if keys else part.lower())
            if keys and fields and key not in fields and not _accepts_any_key(types):
                owner = ".".join(keys)
                problem = f"{owner!r} does not have the setting {key!r}.{did_you_mean(key, fields)}"
                return (*keys, *path[len(keys) :]), Any, f"{problem} Its settings: {', '.join(fields)}."
            types = of_entry(types, key)
            level = existing.get(key)
            keys.append(key)
        keys[0] = field_names(self._handler_cls).get(keys[0], keys[0])
        return tuple(keys), Union[types] if types else Any, ""  # noqa: UP007 - the members are only known here

    def _decode(self, path: tuple[str, ...], annotation: Any, text: str) -> Any:
        field = self._handler_cls.model_fields.get(path[0]) if len(path) == 1 else None
        field = field or FieldInfo.from_annotation(annotation)
        types = (field.annotation,)
        if text.strip() == "null" and type(None) in kinds_of(types) and not accepts_text(types):
            return None  # the stock source has no spelling of None for a number, and ignores it for a list
        return self.prepare_field_value(path[-1], field, text, False)


def read_dotenv(folder: Path) -> dict[str, str]:
    """Read the `.env` in a folder; return no variables if it does not exist."""
    path = folder / DOTENV
    if not path.is_file():
        return {}
    try:
        source = DotEnvSettingsSource(
            BaseSettings, env_file=path, env_file_encoding="utf-8-sig", case_sensitive=True
        )
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}.") from error
    return {name: value for name, value in source.env_vars.items() if value is not None}


def select_environment(dotenv: Mapping[str, str]) -> tuple[str | None, str]:
    """Return the environment that variables name, None if they do not, and the variable for messages."""
    for origin, variables in (("the environment", os.environ), (DOTENV, dotenv)):
        if name := variables.get(ENVIRONMENT_VARIABLE):
            return name, f"{ENVIRONMENT_VARIABLE} in {origin}"
    return None, ""


def add_variables(document: Document, dotenv: Mapping[str, str]) -> list[str]:
    """Add the variables of each handler to a document: first those of `.env`, then those of the environment.

    A variable `RIVERS_IO_HANDLERS__<NAME>__USE` adds a handler that the document does not have. Returns one finding
    per variable that does not name a handler and a field.
    """
    findings: list[str] = []
    for origin, variables in ((DOTENV, dotenv), ("environment", os.environ)):
        sources: dict[str, HandlerSettings] = {}
        # `__USE` first, because it may add the handler that other variables set
        for variable in sorted(variables, key=lambda name: (not name.upper().endswith("__USE"), name)):
            if not variable.upper().startswith(PREFIX):
                continue
            known = {*document.handlers, *document.handlers_elsewhere}
            handler, path = _split(variable[len(PREFIX) :], known)
            place, is_use = f"{variable} ({origin})", path == ("use",)
            if handler not in known and not is_use:
                suggestion = did_you_mean(handler, document.handlers)
                findings.append(f"{place}: IO handler {handler!r} is not configured.{suggestion}")
            elif not all(path):
                example = f"{PREFIX}{normalize_name(handler).upper()}__FIELD"
                findings.append(f"{place}: does not name a field. Use {example}.")
            elif handler in document.handlers or handler not in known:
                document.handlers.setdefault(handler, [])
                source = sources.setdefault(handler, HandlerSettings(origin, place, None, []))
                if is_use:
                    sources[handler] = replace(source, place=place, use=variables[variable])
                else:
                    source.settings.append(Setting(path, variables[variable], origin, place))
        for handler, source in sources.items():
            document.handlers[handler].append(source)
    return findings


def find_ambiguous_names(document: Document) -> Iterator[str]:
    """Find handlers that variables cannot tell apart, such as `my-lake` and `My_lake`."""
    groups: dict[str, list[str]] = {}
    for name in document.handlers:
        groups.setdefault(normalize_name(name), []).append(name)
    for normalized, names in groups.items():
        if len(names) > 1:
            yield (
                f"{document.place('io_handlers')}: {' and '.join(map(repr, sorted(names)))} have the same variables "
                f"({PREFIX}{normalized.upper()}__...). Rename one."
            )


def merge(settings: Iterable[Setting]) -> dict[str, Any]:
    """Merge the usable settings to values by field; the last setting has the highest precedence."""
    values: dict[str, Any] = {}
    for setting in settings:
        if setting.problem:
            continue
        level = values
        for key in setting.path[:-1]:
            existing = level.get(key)
            level[key] = dict(existing) if isinstance(existing, dict) else {}
            level = level[key]
        level[setting.path[-1]] = setting.value
    return values


def field_names(cls: type[BaseIOHandler]) -> dict[str, str]:
    """Map each name under which a setting may be given, such as an alias, to the name of its field."""
    fields = cls.model_fields
    return {spelling: name for name in fields for spelling in input_names({name: fields[name]})}


def normalize_name(name: str) -> str:
    """Return a handler's name as in variables, in lower case: everything but letters and digits is an underscore."""
    return re.sub(r"[^a-z0-9]", "_", name.lower())


def takes_handler(types: Types) -> bool:
    """Return whether a value of one of the types is another handler."""
    return any(isinstance(kind, type) and issubclass(kind, BaseIOHandler) for kind in kinds_of(types))


def accepts_text(types: Types) -> bool:
    """Return whether one of the types accepts any text."""
    return any(kind in (str, SecretStr, Any) for kind in kinds_of(types))


def _accepts_any_key(types: Types) -> bool:
    """Return whether one of the types is a mapping, or a model with extra fields."""
    owners = [class_of(kind) for kind in kinds_of(types)]
    return any(
        (isinstance(owner, type) and issubclass(owner, Mapping))
        or getattr(owner, "model_config", {}).get("extra") == "allow"
        for owner in owners
    )


def _same_letters(name: str, candidates: list[str]) -> str | None:
    """Return the candidate that equals a name, else the one that equals it without regard to case."""
    if name in candidates:
        return name
    return next((item for item in candidates if item.lower() == name.lower()), None)


def _split(rest: str, names: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """Split a variable after the prefix into handler and path, by the longest name that matches."""
    lowered = f"{rest.lower()}__"
    matches = [name for name in names if lowered.startswith(f"{normalize_name(name)}__")]
    if matches:
        handler = max(matches, key=lambda name: len(normalize_name(name)))
        path = rest[len(normalize_name(handler)) + 2 :].split("__")
    else:
        head, *path = rest.split("__")
        handler = head.lower()
    is_use = len(path) == 1 and path[0].lower() == "use" and handler != ""
    return handler, ("use",) if is_use else tuple(path)
