"""Resource: a client, connection or setting that functions take by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_settings import BaseSettings, SettingsConfigDict

from rivers_core.redaction import redacted_field

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

__all__ = ["Resource"]


class Resource(BaseSettings):
    """Settings that functions take by name, set up before a run and torn down after it.

    Fields are settings as in pydantic-settings: given as arguments, by environment variables, or in a `.env` file of
    the working folder. Keep what `setup` opens in private attributes: a resource is sent to another process as class
    and field values, and set up again there.

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
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        env_file=".env",
        dotenv_filtering="only_existing",
    )

    def setup(self) -> Awaitable[None] | None:
        """Open what steps need, before the first step of a run; does nothing by default. May be `async`."""
        return None

    def teardown(self) -> Awaitable[None] | None:
        """Close it after the last step, also of a failed run; does nothing by default. May be `async`."""
        return None

    def __str__(self) -> str:
        return repr(self)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, redacted_field(value, name or "")

    def __reduce__(self) -> tuple[Any, ...]:
        values = {name: self.__dict__[name] for name in type(self).model_fields if name in self.__dict__}
        return _restore, (type(self), self.model_fields_set, values | (self.model_extra or {}))


def _restore(cls: type[Resource], fields_set: set[str], values: dict[str, Any]) -> Resource:
    return cls.model_construct(fields_set, **values)
