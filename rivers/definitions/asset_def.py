"""AssetDef and DepDef: one output of a multi-asset, and one declared upstream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rivers.definitions.field_checks import FieldChecks
from rivers.exceptions import AssetDefinitionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers.mappings import PartitionMapping
    from rivers_core.handler import BaseIOHandler
    from rivers_core.partitions import PartitionsDefinition

__all__ = ["AssetDef", "DepDef"]


@dataclass(frozen=True, slots=True, eq=False)
class DepDef:
    """One declared upstream of an asset; made by `AssetDef.input` or `AssetDef.dep`.

    Attributes:
        name: The upstream asset.
        partition_mapping: Which of its partitions are needed; None for the obvious ones.
        io_handler: The handler to load it with; None for the upstream's own.
        metadata: Laid over the upstream's metadata while loading.
        is_loaded: Whether the value is loaded; False only orders the steps.
    """

    name: str
    partition_mapping: PartitionMapping | None = None
    io_handler: BaseIOHandler | str | None = None
    metadata: dict[str, Any] | None = None
    is_loaded: bool = True

    def _key(self) -> tuple[object, ...]:
        return (self.name, self.partition_mapping, self.io_handler, self.metadata, self.is_loaded)

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, DepDef) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.name, self.is_loaded))


class AssetDef:
    """One output of a multi-asset.

    What is left out is taken from the multi-asset.

    Args:
        name: The output's name; it is an asset's name like any other.
        tags: Tags.
        kinds: What it is made of; one text or a list.
        group: The group it is shown in.
        code_version: The version of the code that makes it.
        io_handler: A handler, or the name of one.
        metadata: JSON values; `handler/option` keys are options of that handler.
        partitions_def: Its partitions, or the name of one of the repository's partition_defs.
        partition_mapping: How its partitions map to upstreams for which no dep says otherwise.
        deps: Upstreams that only this output needs.

    Raises:
        AssetDefinitionError: If an argument is not what it has to be.
    """

    __slots__ = (
        "code_version",
        "deps",
        "group",
        "io_handler",
        "kinds",
        "metadata",
        "name",
        "partition_mapping",
        "partitions_def",
        "tags",
    )

    name: str
    tags: list[str]
    kinds: list[str]
    group: str | None
    code_version: str | None
    io_handler: BaseIOHandler | str | None
    metadata: dict[str, Any]
    partitions_def: PartitionsDefinition | str | None
    partition_mapping: PartitionMapping | None
    deps: list[DepDef]

    def __init__(
        self,
        name: str,
        tags: Sequence[str] | None = None,
        kinds: str | Sequence[str] | None = None,
        group: str | None = None,
        code_version: str | None = None,
        io_handler: BaseIOHandler | str | None = None,
        metadata: Mapping[str, Any] | None = None,
        partitions_def: PartitionsDefinition | str | None = None,
        partition_mapping: PartitionMapping | None = None,
        deps: Sequence[DepDef] | None = None,
    ) -> None:
        checks = FieldChecks(f"output {name!r}", AssetDefinitionError)
        self._set("name", checks.name(name))
        self._set("tags", checks.texts("tags", tags))
        self._set("kinds", checks.texts("kinds", kinds, one=True))
        self._set("group", checks.text("group", group))
        self._set("code_version", checks.text("code_version", code_version))
        self._set("io_handler", checks.io_handler(io_handler))
        self._set("metadata", checks.metadata(metadata))
        self._set("partitions_def", checks.partitions_def(partitions_def))
        self._set("partition_mapping", checks.partition_mapping(partition_mapping))
        self._set("deps", check_deps(checks, deps))

    def _set(self, field: str, value: object) -> None:
        object.__setattr__(self, field, value)

    def __setattr__(self, field: str, value: object) -> None:
        raise AttributeError(f"AssetDef {self.name!r} is immutable: cannot set {field!r}.")

    @staticmethod
    def input(
        name: str,
        partition_mapping: PartitionMapping | None = None,
        io_handler: BaseIOHandler | str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> DepDef:
        """Declares an upstream whose value is loaded, to say more about it than its name.

        Args:
            name: The upstream asset; the function has a parameter of this name.
            partition_mapping: Which of its partitions are needed; None for the obvious ones.
            io_handler: Another handler to load it with, or its name.
            metadata: Laid over the upstream's metadata while loading (for instance `delta/columns`).
        """
        checks = FieldChecks(f"input {name!r}", AssetDefinitionError)
        return DepDef(
            checks.name(name),
            checks.partition_mapping(partition_mapping),
            checks.io_handler(io_handler),
            checks.metadata(metadata) if metadata is not None else None,
        )

    @staticmethod
    def dep(name: str, partition_mapping: PartitionMapping | None = None) -> DepDef:
        """Declares an upstream that only has to be there first; it is never loaded.

        Args:
            name: The upstream asset.
            partition_mapping: Which of its partitions have to be there; None for the obvious ones.
        """
        checks = FieldChecks(f"dep {name!r}", AssetDefinitionError)
        return DepDef(checks.name(name), checks.partition_mapping(partition_mapping), is_loaded=False)

    def _key(self) -> tuple[object, ...]:
        return tuple(getattr(self, field) for field in self.__slots__)

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, AssetDef) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.name)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore_asset_def, ({field: getattr(self, field) for field in self.__slots__},)

    def __repr__(self) -> str:
        given = {field: getattr(self, field) for field in ASSET_DEF_FIELDS}
        shown = "".join(f", {field}={value!r}" for field, value in given.items() if value)
        return f"AssetDef({self.name!r}{shown})"


ASSET_DEF_FIELDS = (
    "tags",
    "kinds",
    "group",
    "code_version",
    "io_handler",
    "metadata",
    "partitions_def",
    "partition_mapping",
    "deps",
)


def _restore_asset_def(fields: dict[str, Any]) -> AssetDef:
    return AssetDef(**fields)


def check_deps(checks: FieldChecks, value: object) -> list[DepDef]:
    """Checks a list of deps: each an `AssetDef.input` or `AssetDef.dep`, none twice."""
    if value is None:
        return []
    if isinstance(value, (str, Mapping, DepDef)) or not isinstance(value, Iterable):
        raise checks.refuse(f"deps={value!r}: give a list, e.g. deps=[AssetDef.dep('orders')].")
    items = list(value)
    seen: set[str] = set()
    for item in items:
        if not isinstance(item, DepDef):
            name = item if isinstance(item, str) else getattr(item, "name", "orders")
            raise checks.refuse(
                f"deps: {item!r} says not whether it is loaded; write AssetDef.input({name!r}) or "
                f"AssetDef.dep({name!r})."
            )
        if item.name in seen:
            raise checks.refuse(f"deps: {item.name!r} is listed twice.")
        seen.add(item.name)
    return items
