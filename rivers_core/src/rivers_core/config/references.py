"""Fields that hold another handler: in a configuration, its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

from rivers_core.handler import BaseIOHandler

if TYPE_CHECKING:
    from collections.abc import Callable


def takes_handler(annotation: Any) -> bool:
    """Whether a field of this type holds a handler, or several.

    Args:
        annotation: The type of the field: a handler class, an optional one, a list or mapping of them.

    Returns:
        True if a name in its place stands for a handler.
    """
    if isinstance(annotation, type) and not get_args(annotation):
        return issubclass(annotation, BaseIOHandler)
    return any(takes_handler(argument) for argument in get_args(annotation))


def admits_text(annotation: Any) -> bool:
    """Whether a text can stand for itself in a field of this type.

    Args:
        annotation: The type of the field.

    Returns:
        True for `str` and unions with it.
    """
    if annotation is str:
        return True
    arguments = get_args(annotation)
    origin = getattr(annotation, "__origin__", None)
    is_container = isinstance(origin, type) and issubclass(origin, (list, tuple, dict, set, Mapping))
    return not is_container and any(admits_text(argument) for argument in arguments)


def replaced(value: Any, find: Callable[[str], Any]) -> Any:
    """Replace names by handlers.

    Args:
        value: A name, or a list or mapping with names.
        find: Gives the handler of a name.

    Returns:
        The same shape with handlers; what is no name stays.
    """
    if isinstance(value, str):
        return find(str(value))
    if isinstance(value, (list, tuple)):
        return type(value)(replaced(item, find) for item in value)
    if isinstance(value, Mapping):
        return {key: replaced(item, find) for key, item in value.items()}
    return value
