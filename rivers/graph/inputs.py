"""Bind the parameters of a function to assets and resources."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rivers.definitions.composition import NodeRef
from rivers.exceptions import NodeNotFoundError, PartitionValidationError
from rivers.graph.findings import suggest
from rivers.graph.plan import Awaited, ItemHint, LoadedInput, MappedInput, OwnValue
from rivers.graph.types import value_hint
from rivers.mappings import PartitionMapping, check_mapping, default_mapping
from rivers_core.authoring import hint_classes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rivers.definitions.asset_def import DepDef
    from rivers.definitions.composition import FanOut
    from rivers.definitions.signature import FunctionSignature
    from rivers.graph.findings import Findings
    from rivers.graph.plan import HandlerBinding, StoredOutput
    from rivers.graph.symbols import SymbolTable
    from rivers.partitions import PartitionsDefinition


_ANNOTATIONS = {
    "context": " Annotate it as context: AssetExecutionContext (TaskExecutionContext in a task) to get the context.",
    "self": " Annotate it as self: SelfDependency[...] to load the stored value of the asset.",
}


class InputBinder:
    """Bind the parameters of one step.

    Args:
        symbols: Outputs and resources of the repository.
        subject: Name of the step in findings, such as `asset 'orders'`.
        partitions_def: Partitions of the step.
        deps: Declared dependencies of the step.
        mapping: Partition mapping of upstreams whose dep has none: one for all, or by name.
        findings: Collects problems; those of the symbol table by default.
    """

    def __init__(
        self,
        symbols: SymbolTable,
        subject: str,
        partitions_def: PartitionsDefinition | None,
        deps: Sequence[DepDef] = (),
        mapping: Mapping[str, PartitionMapping] | PartitionMapping | None = None,
        findings: Findings | None = None,
    ) -> None:
        self._symbols = symbols
        self._findings = findings or symbols.findings
        self._subject = subject
        self._partitions_def = partitions_def
        self._deps = {dep.name: dep for dep in deps}
        self._mapping = mapping
        self._used: set[str] = set()
        self._named: set[str] = set()
        self.inputs: list[LoadedInput] = []
        self.resources: list[tuple[str, str]] = []

    def bind_parameters(
        self, signature: FunctionSignature, skip: Mapping[str, Any] | Sequence[str] = ()
    ) -> None:
        """Bind each parameter by its name; `skip` names those that are bound already."""
        for parameter in signature.parameters:
            if parameter.name in skip or parameter.is_variadic:
                continue
            if self._symbols.has_input(parameter.name):
                self.bind_name(parameter.name, parameter.hint)
            elif not parameter.has_default:
                known = [*self._symbols.outputs, *self._symbols.definitions.resources]
                self._findings.add(
                    f"{self._subject}: parameter {parameter.name!r} is neither an asset nor a resource."
                    f"{_ANNOTATIONS.get(parameter.name) or suggest(parameter.name, known)}"
                )

    def bind_name(self, name: str, hint: Any = None) -> None:
        """Bind a parameter to the asset, else the resource, of its name."""
        if name in self._symbols.outputs:
            self.load(name, name, hint)
        else:
            self.resources.append((name, name))

    def load(self, parameter: str, upstream_name: str, hint: Any) -> None:
        """Bind a parameter to the stored value of an output."""
        self._used.add(upstream_name)
        upstream = self._symbols.outputs.get(upstream_name)
        if upstream is None:
            self._unknown(upstream_name)
            return
        dep = self._deps.get(upstream_name)
        loaded = self._loaded(parameter, upstream, value_hint(hint), dep)
        if loaded is None:
            return
        if upstream.returns_materialization:
            self._findings.add(
                f"{self._subject}: {upstream_name!r} returns a Materialization and has no stored value to load; "
                f"use AssetDef.dep({upstream_name!r})"
            )
        self._check_type(loaded, hint)
        self.inputs.append(loaded)

    def mapped(self, fan_out: FanOut) -> MappedInput | None:
        """Bind the value over whose elements the step runs."""
        source = fan_out.source
        name = source.node_name if isinstance(source, NodeRef) else source.asset_name
        upstream = self._symbols.outputs.get(name)
        if upstream is None:
            self._unknown(name)
            return None
        loaded = self._loaded(fan_out.parameter, upstream, None, self._deps.get(name))
        return None if loaded is None else MappedInput(fan_out.parameter, loaded, fan_out.max_concurrency)

    def own_value(self, parameter: str, own: StoredOutput, hint: Any) -> OwnValue | None:
        """Bind a parameter to the stored value of the asset itself."""
        loaded = self._loaded(parameter, own, value_hint(hint), self._deps.get(own.name), may_miss=True)
        self._used.add(own.name)
        if loaded is None:
            return None
        self._check_type(loaded, hint)
        is_conditional = loaded.binding is own.binding and bool(loaded.binding.handler.conditional_writes)
        return OwnValue(parameter, loaded, is_conditional)

    def order_only(self) -> tuple[str, ...]:
        """Return the declared upstreams that are awaited, not loaded; report inputs that no parameter takes."""
        if not self._deps:
            return ()
        for name, dep in self._deps.items():
            if name not in self._symbols.outputs:
                self._unknown(name)
            elif dep.is_loaded and name not in self._used:
                self._findings.add(
                    f"{self._subject}: AssetDef.input({name!r}) is declared, but there is no parameter {name!r}; "
                    f"add it, or use AssetDef.dep({name!r})"
                )
        return tuple(
            name
            for name, dep in self._deps.items()
            if name in self._symbols.outputs and name not in self._used and not dep.is_loaded
        )

    def awaited(self, names: Iterable[str]) -> tuple[Awaited, ...]:
        """Return the existing outputs among these names as awaited upstreams."""
        return tuple(
            Awaited(self._symbols.outputs[name], self._mapping_to_awaited(name))
            for name in names
            if name in self._symbols.outputs
        )

    def _mapping_to_awaited(self, name: str) -> PartitionMapping | None:
        """Return the declared or the default mapping; without loading it is not a problem if there is none."""
        upstream, dep = self._symbols.outputs[name], self._deps.get(name)
        declared = self._declared(name, dep)
        if declared is None and default_mapping(self._partitions_def, upstream.partitions_def) is None:
            return None
        return self._mapping_to(upstream, dep)[0]

    def _unknown(self, name: str) -> None:
        self._findings.add(
            f"{self._subject}: upstream asset {name!r} not found.{suggest(name, self._symbols.outputs)}",
            NodeNotFoundError,
        )

    def _loaded(
        self, parameter: str, upstream: StoredOutput, hint: Any, dep: DepDef | None, *, may_miss: bool = False
    ) -> LoadedInput | None:
        binding = self._binding(upstream, dep)
        mapping, many = self._mapping_to(upstream, dep, may_miss=may_miss)
        if binding is None:
            return None
        metadata = upstream.metadata
        if dep is not None and dep.metadata:
            metadata = {**metadata, **dep.metadata}
        self._check_options(upstream, binding, metadata)
        return LoadedInput(
            parameter,
            upstream,
            binding,
            type_hint=hint if hint is not None else upstream.type_hint,
            items=ItemHint.of(hint, upstream.type_hint),
            metadata=metadata,
            mapping=mapping,
            fans_in=many,
        )

    def _binding(self, upstream: StoredOutput, dep: DepDef | None) -> HandlerBinding | None:
        if dep is None or dep.io_handler is None:
            return upstream.binding
        with self._findings.collecting(f"{self._subject}, input {upstream.name!r}"):
            return self._symbols.binder.bind(upstream.name, dep.io_handler, upstream.metadata)
        return None

    def _check_options(
        self, upstream: StoredOutput, binding: HandlerBinding, metadata: Mapping[str, Any]
    ) -> None:
        """Report invalid options of this consumer; those of the upstream are reported once, there."""
        if binding is upstream.binding and metadata == upstream.metadata:
            return
        reported = upstream.handler.check_options(upstream.metadata) if upstream.binding is not None else []
        for problem in binding.handler.check_options(metadata):
            if problem not in reported:
                self._findings.add(f"{self._subject}, input {upstream.name!r}: {problem}")

    def _declared(self, name: str, dep: DepDef | None) -> PartitionMapping | None:
        if dep is not None and dep.partition_mapping is not None:
            return dep.partition_mapping
        if self._mapping is None or isinstance(self._mapping, PartitionMapping):
            return self._mapping
        self._named.add(name)
        return self._mapping.get(name)

    def check_mappings(self) -> None:
        """Report mappings for upstreams that are not inputs."""
        if self._mapping is None or isinstance(self._mapping, PartitionMapping):
            return
        for name in self._mapping:
            if name not in self._named:
                self._findings.add(
                    f"{self._subject}: partition_mapping names {name!r}, which is not an input or dep."
                    f"{suggest(name, self._named)}",
                    PartitionValidationError,
                )

    def _mapping_to(
        self, upstream: StoredOutput, dep: DepDef | None, *, may_miss: bool = False
    ) -> tuple[PartitionMapping | None, bool]:
        """Return the mapping and whether it fans in; with `may_miss`, as in a first run, missing keys are left out."""
        declared = self._declared(upstream.name, dep)
        down, up = self._partitions_def, upstream.partitions_def
        if declared is None and down is None and up is None:
            return None, False
        if declared is None:
            declared = default_mapping(down, up)
        tolerant = PartitionMapping.subset(declared) if may_miss else declared
        problems = check_mapping(tolerant, downstream=down, upstream=up)
        for problem in problems:
            self._findings.add(
                f"{self._subject}: cannot map its partitions to those of {upstream.name!r}: {problem}",
                PartitionValidationError,
            )
        if problems or declared is None:
            return None, False
        if up is None:  # `for_keys` selects keys of the consumer
            return (declared if isinstance(declared, PartitionMapping.ForKeys) else None), False
        return tolerant, declared.fans_in(down, up)

    def _check_type(self, loaded: LoadedInput, hint: Any) -> None:
        # a batching handler loads one value for all keys, unless the annotation is a dictionary
        is_batch = loaded.binding.handler.partition_batches and not loaded.items.is_mapping
        wanted = loaded.items.value if loaded.fans_in and not is_batch else loaded.type_hint
        if loaded.fans_in and not is_batch and not loaded.items.is_mapping and not _accepts_mapping(hint):
            self._findings.add(
                f"{self._subject}: parameter {loaded.parameter!r} receives the values of several partitions of "
                f"{loaded.upstream.name!r} as a dictionary by key, but its annotation is {_shown(hint)}; use "
                f"dict[str, {_shown(hint)}], or map it to one partition"
            )
            return
        if value_hint(hint) is None:
            return
        with self._findings.collecting(f"{self._subject}, input {loaded.upstream.name!r}"):
            if not loaded.binding.handler.can_load_type(wanted):
                self._findings.add(
                    f"{self._subject}: handler {loaded.binding.label!r} cannot load {loaded.upstream.name!r} as "
                    f"{_shown(wanted)}"
                )


def _accepts_mapping(hint: Any) -> bool:
    """Return whether a dictionary may fit an annotation."""
    with suppress(TypeError):  # protocols that cannot be checked at run time
        return not (classes := hint_classes(hint)) or issubclass(dict, classes)
    return True


def _shown(hint: Any) -> str:
    return hint.__qualname__ if isinstance(hint, type) else str(hint)
