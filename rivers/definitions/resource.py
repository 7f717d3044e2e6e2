"""Resource: what functions need besides data, such as a client or a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_settings import BaseSettings, SettingsConfigDict

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["Resource"]


class Resource(BaseSettings):
    """Settings that functions take by name, set up before a run and torn down after it.

    Fields are settings as in pydantic-settings: given as arguments, by environment variables, or in a `.env` file
    of the working folder. What `setup` opens belongs into private attributes: a resource travels to other
    processes as class and field values, and is set up again there.

    Examples:
        >>> class Warehouse(Resource):
        ...     dsn: str = "localhost"
        ...
        ...     def setup(self) -> None:
        ...         print("connected to", self.dsn)
        >>> Warehouse(dsn="db").setup()
        connected to db
    """

    model_config = SettingsConfigDict(
        arbitrary_types_allowed=True, env_file=".env", dotenv_filtering="only_existing"
    )

    def setup(self) -> Awaitable[None] | None:
        """Called once before the first step of a run; nothing by default. It may be `async`."""
        return None

    def teardown(self) -> Awaitable[None] | None:
        """Called once after the last step, also when the run failed; nothing by default. It may be `async`."""
        return None

    def __reduce__(self) -> tuple[Any, ...]:
        values = {name: self.__dict__[name] for name in type(self).model_fields if name in self.__dict__}
        return _rebuilt, (type(self), self.model_fields_set, values | (self.model_extra or {}))


def _rebuilt(cls: type[Resource], fields_set: set[str], values: dict[str, Any]) -> Resource:
    return cls.model_construct(fields_set, **values)
