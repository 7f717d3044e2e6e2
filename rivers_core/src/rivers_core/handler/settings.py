"""Where a handler's field values come from, and how a handler is rebuilt from them."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import AliasChoices
from pydantic_core import PydanticCustomError

from rivers_core._annotations import input_names
from rivers_core._suggestions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from pydantic import ValidationError
    from pydantic.fields import FieldInfo
    from pydantic_settings import BaseSettings

    from rivers_core.handler.base import BaseIOHandler

HandlerT = TypeVar("HandlerT", bound="BaseIOHandler")

_given_only: ContextVar[type | None] = ContextVar("rivers_given_only", default=None)


def reads_nothing_else(settings_cls: type[BaseSettings]) -> bool:
    """Whether this class is being built from given values alone, without environment and `.env`.

    Args:
        settings_cls: The class whose sources are being chosen.

    Returns:
        True inside `from_values` for that very class.
    """
    return _given_only.get() is settings_cls


def build_handler(cls: type[HandlerT], values: Mapping[str, Any]) -> HandlerT:
    """Build a handler from exactly these field values; no other source is read.

    Args:
        cls: The handler class.
        values: Field name to value.

    Returns:
        The validated handler; fields not given have their defaults.

    Raises:
        pydantic.ValidationError: A value does not fit its field.
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


def with_names(
    cls: type[BaseIOHandler], unnamed: Sequence[Any], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Name the settings that were given by position.

    Args:
        cls: The handler class; its `positional_fields` say which may be.
        unnamed: Their values.
        settings: Those given by name.

    Returns:
        All of them by name.

    Raises:
        TypeError: The class takes no or fewer settings by position, or one was given twice.
    """
    names, owner = cls.positional_fields, cls.__name__
    if len(unnamed) > len(names):
        field = next((name for name in cls.model_fields if name not in names), None)
        known = f"name them, as in {owner}({field}=...)" if field else "it has no more"
        most = f"more than {len(names)} settings" if names else "settings"
        raise TypeError(f"{owner} does not take {most} by position; {known}.")
    given = dict(zip(names, unnamed, strict=False))
    for name in given.keys() & settings.keys():
        raise TypeError(f"{owner} got {name!r} by position and by name; give it once.")
    return {**given, **settings}


def refuse_unknown(owner: str, given: Iterable[str], fields: Mapping[str, FieldInfo]) -> None:
    """Refuse arguments that are no settings of a handler.

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


def note_variables(error: ValidationError, cls: type[BaseSettings], given: Collection[str]) -> None:
    """Add to an error where settings come from that were not given as arguments.

    Args:
        error: What building the handler raised.
        cls: The class of the handler.
        given: Names of the arguments.
    """
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        name = str(item["loc"][0]) if item["loc"] else ""
        if name not in cls.model_fields or name in given:
            continue
        variable = f"{cls.model_config.get('env_prefix', '')}{name}".upper()
        if item["type"] == "missing":
            error.add_note(f"Give `{name}` as an argument, as variable {variable}, or in .env.")
        else:
            error.add_note(
                f"`{name}` is no argument here: look for {variable} in the environment and in .env."
            )


def _input_name(name: str, field: FieldInfo) -> str:
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        alias = next((choice for choice in alias.choices if isinstance(choice, str)), None)
    return alias if isinstance(alias, str) else name
