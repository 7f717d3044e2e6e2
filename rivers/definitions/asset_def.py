"""AssetDef and DepDef: one output of a multi-asset, and one declared upstream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rivers.definitions.definition import Configured, Option
from rivers.definitions.field_checks import FieldChecks
from rivers.exceptions import AssetDefinitionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers.definitions.asset import MultiAsset
    from rivers.definitions.definition import Definition
    from rivers.mappings import PartitionMapping
    from rivers.partitions import PartitionsDefinition
    from rivers_core.handler import BaseIOHandler

__all__ = ["AssetDef", "DepDef"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class DepDef:
    """A declared upstream of an asset, created by `AssetDef.input` or `AssetDef.dep`.

    Attributes:
        name: Name of the upstream asset.
        partition_mapping: Mapping to the partitions of the upstream; None for the default of the two definitions.
        io_handler: Handler to load it with; None for the upstream's own.
        metadata: Metadata that takes precedence over the upstream's while loading.
        is_loaded: Whether the value is loaded; False only orders the steps.
    """

    name: str
    partition_mapping: PartitionMapping | None = None
    io_handler: BaseIOHandler | str | None = None
    metadata: dict[str, Any] | None = None
    is_loaded: bool = True

    @property
    def is_input(self) -> bool:
        """True if `AssetDef.input` created it."""
        return self.is_loaded

    def __repr__(self) -> str:
        names = ("partition_mapping", "io_handler", "metadata")
        given = [(name, getattr(self, name)) for name in names]
        options = "".join(f", {name}={value!r}" for name, value in given if value is not None)
        return f"DepDef.{'input' if self.is_loaded else 'dep'}({self.name!r}{options})"

    def _key(self) -> tuple[object, ...]:
        return (self.name, self.partition_mapping, self.io_handler, self.metadata, self.is_loaded)

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, DepDef) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.name, self.is_loaded))


def check_deps(checks: FieldChecks, field: str, value: object) -> list[DepDef]:
    """Return a list of deps with different names."""
    if value is None:
        return []
    if isinstance(value, (str, Mapping, DepDef)) or not isinstance(value, Iterable):
        raise checks.refuse_type(
            f"{field} must be a list, got {value!r}. Use e.g. {field}=[AssetDef.dep('orders')]."
        )
    items = list(value)
    names: set[str] = set()
    for item in items:
        if not isinstance(item, DepDef):
            name = item if isinstance(item, str) else getattr(item, "name", "orders")
            raise checks.refuse_type(
                f"{field} must contain deps, got {item!r}. Use AssetDef.input({name!r}) to load its value, or "
                f"AssetDef.dep({name!r}) to run after it."
            )
        if item.name in names:
            raise checks.refuse(f"{field} lists {item.name!r} twice.")
        names.add(item.name)
    return items


class AssetDef(Configured):
    """One output of a multi-asset; what is left out is taken from the multi-asset.

    Args:
        name: Name of the output, an asset name like any other.
        tags: Tags.
        kinds: Kinds such as `"table"`; a string or a list.
        group: Group in which listings show the output.
        code_version: Version of the code.
        io_handler: Handler, or the name of one.
        metadata: JSON values; keys of the form `handler/option` are options of that handler.
        partitions_def: Partitions, or the name of an entry of the repository's `partition_defs`.
        partition_mapping: Mapping to upstreams whose dep has none: one for all, or by name of the upstream.
        deps: Upstreams that only this output needs.
        type_hint: Type of the value, which is checked and passed to the handler; by default that of the function's
            return annotation.

    Raises:
        AssetDefinitionError: An argument is not valid.
    """

    name = Option(FieldChecks.name)
    tags = Option(FieldChecks.texts)
    kinds = Option(FieldChecks.text_or_texts)
    group = Option(FieldChecks.text)
    code_version = Option(FieldChecks.text)
    io_handler = Option(FieldChecks.io_handler)
    metadata = Option(FieldChecks.metadata)
    partitions_def = Option(FieldChecks.partitions_def)
    partition_mapping = Option(FieldChecks.partition_mappings)
    deps = Option(check_deps)
    type_hint = Option(FieldChecks.type_hint)

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
        partition_mapping: Mapping[str | AssetDef | Definition, PartitionMapping]
        | PartitionMapping
        | None = None,
        deps: Sequence[DepDef] | None = None,
        type_hint: Any = None,
    ) -> None:
        checks = FieldChecks(f"output {name!r}", AssetDefinitionError)
        self._set_options(
            checks,
            {
                "name": name,
                "tags": tags,
                "kinds": kinds,
                "group": group,
                "code_version": code_version,
                "io_handler": io_handler,
                "metadata": metadata,
                "partitions_def": partitions_def,
                "partition_mapping": partition_mapping,
                "deps": deps,
                "type_hint": type_hint,
            },
        )

    def inheriting(self, asset: MultiAsset, labels: Mapping[str, Any]) -> AssetDef:
        """Return the output with what it takes from its multi-asset.

        Args:
            asset: The multi-asset.
            labels: Tags, kinds and group that were given to it.
        """
        output = AssetDef.__new__(AssetDef)
        mappings = {
            dep.name: dep.partition_mapping
            for dep in (*asset.deps, *self.deps)
            if dep.partition_mapping is not None
        }
        output.__dict__.update(
            self.__dict__,
            tags=list(dict.fromkeys((*(labels["tags"] or ()), *(self.tags or ())))) or None,
            kinds=list(dict.fromkeys((*labels["kinds"], *self.kinds))),
            group=self.group or labels["group"],
            code_version=self.code_version or asset.code_version,
            partitions_def=asset.partitions_def or self.partitions_def,
            partition_mapping=self.partition_mapping or mappings or None,
        )
        return output

    @staticmethod
    def input(
        name: str,
        partition_mapping: PartitionMapping | None = None,
        io_handler: BaseIOHandler | str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> DepDef:
        """Declare an upstream whose value is loaded, to set more than its name.

        Args:
            name: Name of the upstream asset; the function has a parameter of this name.
            partition_mapping: Mapping to the partitions of the upstream.
            io_handler: Another handler to load it with, or the name of one.
            metadata: Metadata that takes precedence over the upstream's while loading (such as `delta/columns`).
        """
        checks = FieldChecks(f"input {name!r}", AssetDefinitionError)
        return DepDef(
            checks.name("name", name),
            checks.partition_mapping("partition_mapping", partition_mapping),
            checks.io_handler("io_handler", io_handler),
            None if metadata is None else checks.metadata("metadata", metadata),
        )

    @staticmethod
    def dep(name: str, partition_mapping: PartitionMapping | None = None) -> DepDef:
        """Declare an upstream that has to be stored first but is never loaded.

        Args:
            name: Name of the upstream asset.
            partition_mapping: Mapping to the partitions of the upstream.
        """
        checks = FieldChecks(f"dep {name!r}", AssetDefinitionError)
        return DepDef(
            checks.name("name", name),
            checks.partition_mapping("partition_mapping", partition_mapping),
            is_loaded=False,
        )

    def __eq__(self, other: object) -> bool:
        return self.__dict__ == other.__dict__ if isinstance(other, AssetDef) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.name)

    def __reduce__(self) -> tuple[Any, ...]:
        return AssetDef, tuple(self.__dict__.values())

    def __repr__(self) -> str:
        given = list(self.__dict__.items())[1:]
        options = "".join(f", {name}={value!r}" for name, value in given if value is not None and value != [])
        return f"AssetDef({self.name!r}{options})"
