"""AssetBase: what every kind of asset has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from rivers.definitions.asset_def import check_deps
from rivers.definitions.composition import current_recorder
from rivers.definitions.definition import Definition
from rivers.exceptions import AssetDefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rivers.definitions.asset_def import DepDef
    from rivers.definitions.compute import Compute
    from rivers.definitions.field_checks import FieldChecks
    from rivers.definitions.hook import Hook
    from rivers.definitions.retry import RetryPolicy
    from rivers.mappings import PartitionMapping
    from rivers_core.handler import BaseIOHandler
    from rivers_core.partitions import PartitionsDefinition

__all__ = ["AssetBase"]

A = TypeVar("A", bound="AssetBase")


class AssetBase(Definition):
    """The attributes of an asset, and what calling it means."""

    is_single: ClassVar[bool] = False
    """Whether it is a function with one output."""
    is_multi: ClassVar[bool] = False
    """Whether it has several outputs."""
    is_graph: ClassVar[bool] = False
    """Whether it is made of tasks."""
    is_external: ClassVar[bool] = False
    """Whether somebody else stores it."""

    tags: list[str]
    kinds: list[str]
    group: str | None
    metadata: dict[str, Any]
    code_version: str | None
    io_handler: BaseIOHandler | str | None
    partitions_def: PartitionsDefinition | str | None
    partition_mapping: PartitionMapping | None
    """For upstreams whose dep says nothing; an asset has none of its own."""
    deps: list[DepDef]
    hooks: list[Hook]
    retry: RetryPolicy | str | None
    compute: Compute | None

    @classmethod
    def define(cls: type[A], function: Callable[..., Any] | None, **options: Any) -> A:
        """Makes an asset of this kind, after checking each option."""
        checks, fields = cls._named(function, options.get("name"))
        return cls._make(fields | cls._checked(checks, options))

    @classmethod
    def _checked(cls, checks: FieldChecks, options: dict[str, Any]) -> dict[str, Any]:
        get = options.get
        return {
            "tags": checks.texts("tags", get("tags")),
            "kinds": checks.texts("kinds", get("kinds"), one=True),
            "group": checks.text("group", get("group")),
            "metadata": checks.metadata(get("metadata")),
            "code_version": checks.text("code_version", get("code_version")),
            "io_handler": checks.io_handler(get("io_handler")),
            "partitions_def": checks.partitions_def(get("partitions_def")),
            "partition_mapping": None,
            "deps": check_deps(checks, get("deps")),
            "hooks": checks.hooks(get("hooks")),
            "retry": checks.retry(get("retry")),
            "compute": checks.compute(get("compute")),
        }

    @property
    def observe_fn(self) -> Callable[..., Any] | None:
        """The function that observes an external asset; None for the other kinds."""
        return None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the function; inside the body of a graph asset it stands for the asset's value."""
        recorder = current_recorder()
        if recorder is not None:
            return recorder.call_asset(self, args, kwargs)
        if self.function is None:
            raise AssetDefinitionError(f"Asset {self.name!r} has no function to call.")
        return self.function(*args, **kwargs)
