"""Resource: what functions need besides data, such as a client or a connection."""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["Resource"]


class Resource(BaseSettings):
    """Settings that are given to functions by name, set up before a run and torn down after it.

    A subclass keeps what pydantic-settings promises: fields from arguments, then from the environment.

    Example:
        >>> class Warehouse(Resource):
        ...     dsn: str = "localhost"
        ...     def setup(self) -> None:
        ...         print("connected to", self.dsn)
    """

    model_config = SettingsConfigDict(arbitrary_types_allowed=True)

    def setup(self) -> None:
        """Called once before the first step of a run; nothing by default."""

    def teardown(self) -> None:
        """Called once after the last step, also when the run failed; nothing by default."""
