"""Settings of handlers: sources, positional arguments, and rebuilding a handler from field values."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import AliasChoices
from pydantic_core import PydanticCustomError

from rivers_core._annotations import input_names
from rivers_core._messages import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from pydantic import ValidationError
    from pydantic.fields import FieldInfo
    from pydantic_settings import BaseSettings

    from rivers_core.handler.base import BaseIOHandler

HandlerT = TypeVar("HandlerT", bound="BaseIOHandler")

_given_only: ContextVar[type | None] = ContextVar("rivers_given_only", default=None)


def reads_arguments_only(settings_cls: type[BaseSettings]) -> bool:
    """Return whether a class is being built by `build_handler`, without environment and `.env`.

    Args:
        settings_cls: The class whose sources are selected.
    """
    return _given_only.get() is settings_cls


def build_handler(cls: type[HandlerT], values: Mapping[str, Any]) -> HandlerT:
    """Build a handler from field values only; no other source is read.

    Args:
        cls: The handler class.
        values: Values by name of the field; other fields have their defaults.

    Raises:
        pydantic.ValidationError: A value does not match its field.
    """
    fields = cls.model_fields
    by_name = cls.model_config.get("populate_by_name") or cls.model_config.get("validate_by_name")
    arguments = {
        name if by_name or name not in fields else _input_name(name, fields[name]): value
        for name, value in values.items()
    }
    token = _given_only.set(cls)
    try:
        return cls(**arguments)
    finally:
        _given_only.reset(token)


# Handlers that release 0.1.0 pickled name this function.
from_values = build_handler


def name_positional(
    cls: type[BaseIOHandler], positional: Sequence[Any], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return all settings by name.

    Args:
        cls: The handler class, with its `positional_fields`.
        positional: Values given by position.
        settings: Values given by name.

    Raises:
        TypeError: The class accepts fewer settings by position, or a setting was given twice.
    """
    names, owner = cls.positional_fields, cls.__name__
    if len(positional) > len(names):
        field = next((name for name in cls.model_fields if name not in names), None)
        known = f"name them, as in {owner}({field}=...)" if field else "it has no more"
        most = f"more than {len(names)} settings" if names else "settings"
        raise TypeError(f"{owner} does not accept {most} by position; {known}.")
    given = dict(zip(names, positional, strict=False))
    for name in given.keys() & settings.keys():
        raise TypeError(f"{owner} got {name!r} by position and by name; pass it once.")
    return {**given, **settings}


def reject_unknown(owner: str, given: Iterable[str], fields: Mapping[str, FieldInfo]) -> None:
    """Reject arguments that are not settings of a handler.

    Args:
        owner: The name of the handler class, for the message.
        given: Names of the arguments.
        fields: The fields of the handler.

    Raises:
        PydanticCustomError: One of them is unknown; it names the nearest setting and lists all of them.
    """
    known = input_names(fields)
    unknown = [name for name in given if name not in known]
    if not unknown:
        return
    sentences = [f"{owner} does not have a setting {name!r}.{did_you_mean(name, known)}" for name in unknown]
    settings = ", ".join(fields) or "none"
    message = f"{' '.join(sentences)} Its settings: {settings}."
    raise PydanticCustomError("unknown_setting", "{message}", {"message": message})


def add_variable_notes(error: ValidationError, cls: type[BaseSettings], given: Collection[str]) -> None:
    """Add notes to an error that name the environment variables of the settings concerned.

    Args:
        error: Error of building the handler.
        cls: The handler class.
        given: Names of the arguments.
    """
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        name = str(item["loc"][0]) if item["loc"] else ""
        if name not in cls.model_fields or name in given:
            continue
        variable = f"{cls.model_config.get('env_prefix', '')}{name}".upper()
        if item["type"] == "missing":
            error.add_note(f"Pass `{name}` as an argument, as variable {variable}, or in .env.")
        else:
            error.add_note(
                f"`{name}` was not given as an argument: check {variable} in the environment and in .env."
            )


def _input_name(name: str, field: FieldInfo) -> str:
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        alias = next((choice for choice in alias.choices if isinstance(choice, str)), None)
    return alias if isinstance(alias, str) else name
