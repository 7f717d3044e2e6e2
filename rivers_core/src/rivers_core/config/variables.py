"""Overrides of handler settings: `RIVERS_IO_HANDLERS__<NAME>__<FIELD>` in the environment and in `.env`."""

from __future__ import annotations

import json
import os
import re
from types import UnionType
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

from pydantic import SecretStr
from pydantic_settings import BaseSettings, DotEnvSettingsSource

from rivers_core._suggestions import did_you_mean
from rivers_core.config.layers import HandlerTable, Origin
from rivers_core.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

PREFIX: Final = "RIVERS_IO_HANDLERS__"
ENVIRONMENT: Final = "RIVERS_ENV"
DOTENV: Final = ".env"


class Text(str):
    """A value from a variable: text that may be meant as JSON, which only the type of its field can tell."""

    __slots__ = ()


def read_dotenv(root: Path) -> dict[str, str]:
    """Read the `.env` beside the configuration.

    Args:
        root: The folder of the configuration.

    Returns:
        Its variables; none if there is no such file.

    Raises:
        ConfigurationError: It cannot be read.
    """
    path = root / DOTENV
    if not path.is_file():
        return {}
    try:
        source = DotEnvSettingsSource(
            BaseSettings, env_file=path, env_file_encoding="utf-8-sig", case_sensitive=True
        )
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}.") from error
    return {name: value for name, value in source.env_vars.items() if value is not None}


def chosen_environment(dotenv: Mapping[str, str]) -> tuple[str, str] | None:
    """The environment that variables choose.

    Args:
        dotenv: What stands in `.env`.

    Returns:
        Its name and who says so; None if nobody does.
    """
    if os.environ.get(ENVIRONMENT):
        return os.environ[ENVIRONMENT], f"{ENVIRONMENT} in the environment"
    return (dotenv[ENVIRONMENT], f"{ENVIRONMENT} in {DOTENV}") if dotenv.get(ENVIRONMENT) else None


def override(
    tables: dict[str, HandlerTable], dotenv: Mapping[str, str], elsewhere: Iterable[str]
) -> Iterator[str]:
    """Lay variables over the tables of the handlers they name, the environment over `.env`.

    Args:
        tables: The tables by handler name; a variable that ends in `__USE` adds one.
        dotenv: What stands in `.env`.
        elsewhere: Names of handlers that only other environments of the file have.

    Yields:
        One finding per variable that fits nothing.
    """
    sources = (
        ("environment", "in the environment", dict(os.environ)),
        (DOTENV, f"in {DOTENV}", dict(dotenv)),
    )
    for kind, place, variables in reversed(sources):
        # `USE` goes first, for it discards what another handler class was given
        for variable in sorted(variables, key=lambda name: (not name.upper().endswith("__USE"), name)):
            if variable.upper().startswith(PREFIX):
                origin = Origin(kind, f"{variable} ({place})")
                yield from _lay(tables, variable, variables[variable], origin, set(elsewhere))


def spelt_as_variable(name: str) -> str:
    """A handler's name as it stands in a variable, in lower case.

    Args:
        name: The name in the configuration.

    Returns:
        What is no letter or digit becomes an underscore.
    """
    return re.sub(r"[^a-z0-9]", "_", name.lower())


def variable_of(name: str, field: str) -> str:
    """The variable that overrides a field.

    Args:
        name: The handler's name.
        field: The field.

    Returns:
        Such as `RIVERS_IO_HANDLERS__LAKE__TABLE_URI`.
    """
    return f"{PREFIX}{spelt_as_variable(name)}__{field}".upper()


def decoded(value: Any, annotation: Any) -> Any:
    """What a variable's text means for a field of this type.

    Args:
        value: The value of a field; anything but the text of a variable stays as it is.
        annotation: The type of the field.

    Returns:
        The structure if the field takes one and the text is JSON for it, else the text.
    """
    if not isinstance(value, Text):
        return value
    kinds = set(_kinds(annotation))
    text = str(value).strip()
    takes_text = bool(kinds & {str, SecretStr, Any})
    looks_structured = text.startswith(("{", "[")) and kinds - {str, SecretStr}
    if looks_structured or (text == "null" and type(None) in kinds and not takes_text):
        try:
            return json.loads(text)
        except ValueError:
            return str(value)
    return str(value)


def _lay(
    tables: dict[str, HandlerTable], variable: str, text: str, origin: Origin, elsewhere: set[str]
) -> Iterator[str]:
    rest = variable[len(PREFIX) :].lower()
    name, path = _split(rest, {*tables, *elsewhere})
    if name is None and rest.count("__") == 1 and rest.endswith("__use") and rest != "__use":
        name, path = rest.removesuffix("__use"), ["use"]
        tables[name] = HandlerTable(name, origin)
    if name is None and (bare := next((table for table in tables if spelt_as_variable(table) == rest), None)):
        name, path = bare, [""]
    if name is None:
        head = rest.partition("__")[0]
        yield f"{origin.place}: IO handler {head!r} is not configured.{did_you_mean(head, tables)}"
    elif not all(path):
        yield f"{origin.place}: names no field; a field is set by {variable_of(name, 'field')}."
    elif name in tables:
        table = tables[name]
        table.put(_matched(table.values, path), text if path == ["use"] else Text(text), origin)


def _split(rest: str, names: Iterable[str]) -> tuple[str | None, list[str]]:
    fitting = [name for name in names if rest.startswith(f"{spelt_as_variable(name)}__")]
    if not fitting:
        return None, []
    name = max(fitting, key=lambda fit: len(spelt_as_variable(fit)))
    return name, rest[len(spelt_as_variable(name)) + 2 :].split("__")


def _matched(values: Mapping[str, Any], path: list[str]) -> tuple[str, ...]:
    """Keys that are there already keep their spelling, for variables come in capitals."""
    keys: list[str] = []
    level: Any = values
    for part in path:
        known = level if isinstance(level, dict) else {}
        keys.append(next((key for key in known if key.lower() == part), part))
        level = known.get(keys[-1])
    return tuple(keys)


def _kinds(annotation: Any) -> Iterator[Any]:
    arguments = get_args(annotation)
    origin = get_origin(annotation)
    if origin is None or (isinstance(origin, type) and origin is not UnionType):
        yield origin or annotation
    elif hasattr(annotation, "__metadata__"):
        yield from _kinds(arguments[0])
    else:
        for argument in arguments:
            yield from _kinds(argument)
