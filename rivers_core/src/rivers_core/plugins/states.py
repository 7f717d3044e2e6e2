"""What a registry answers: who provides a record, and how each plugin is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from rivers_core.plugins.spec import CommandSpec, ExecutorSpec, HandlerSpec

RecordT = TypeVar("RecordT", HandlerSpec, ExecutorSpec, CommandSpec)


@dataclass(frozen=True, slots=True)
class Registration(Generic[RecordT]):
    """A record together with the plugin that yielded it.

    Args:
        spec: The record.
        distribution: The installed distribution.
        version: Its version.
        entry_point: The entry point through which it was found.
    """

    spec: RecordT
    distribution: str
    version: str
    entry_point: str

    @property
    def qualified_name(self) -> str:
        """The name that no other package can claim: `distribution:name`."""
        return f"{self.distribution}:{self.spec.name}"


@dataclass(frozen=True, slots=True)
class PluginStatus:
    """How one plugin is.

    Args:
        distribution: The installed distribution.
        version: Its version.
        entry_point: The name of the entry point.
        state: `"not loaded"`, `"loaded"`, `"broken"` or `"denied"`.
        error: Why it is broken or denied, in one sentence.
        provides: What it offers, once loaded: `"handler json"`, `"executor dask"`, `"hook ..."`.
    """

    distribution: str
    version: str
    entry_point: str
    state: str
    error: str | None = None
    provides: tuple[str, ...] = ()
