"""Symbol table: all outputs of a repository by name."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rivers.definitions.asset import ExternalAsset, GraphAsset, MultiAsset
from rivers.definitions.results import Materialization
from rivers.exceptions import AssetDefinitionError, ConfigurationError
from rivers.graph.findings import suggest
from rivers.graph.plan import StoredOutput
from rivers.graph.types import accepted_types, declares_materialization, value_hint
from rivers_core.authoring import mapping_hint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rivers.definitions.asset import Asset
    from rivers.definitions.asset_def import AssetDef
    from rivers.definitions.composition import GraphRecording
    from rivers.definitions.retry import RetryPolicy
    from rivers.definitions.task import Task
    from rivers.graph.findings import Findings
    from rivers.graph.handlers import HandlerBinder
    from rivers.partitions import PartitionsDefinition
    from rivers_core.handler import BaseIOHandler


@dataclass(frozen=True, slots=True)
class Definitions:
    """Definitions that a repository consists of.

    Attributes:
        assets: Assets of every kind.
        tasks: Standalone tasks.
        partition_defs: Partition definitions that assets refer to by name.
        retries: Retry policies that assets refer to by name.
        resources: Values that function parameters can name besides assets.
    """

    assets: Sequence[Asset]
    tasks: Sequence[Task] = ()
    partition_defs: Mapping[str, PartitionsDefinition] = field(default_factory=dict)
    retries: Mapping[str, RetryPolicy] = field(default_factory=dict)
    resources: Mapping[str, Any] = field(default_factory=dict)


class SymbolTable:
    """Outputs of a repository by name, each bound to its handler."""

    def __init__(self, definitions: Definitions, binder: HandlerBinder, findings: Findings) -> None:
        self.definitions = definitions
        self.outputs: dict[str, StoredOutput] = {}
        self.recordings: dict[str, GraphRecording] = {}
        self.binder = binder
        self.findings = findings
        for asset in definitions.assets:
            with findings.collecting(f"asset {asset.name!r}"):
                self._add_asset(asset)
        for task in definitions.tasks:
            self._add(self._task_output(task.name, task, task.io_handler))
        self._check_case()

    def has_input(self, name: str) -> bool:
        """Return whether a parameter may name an asset or a resource."""
        return name in self.outputs or name in self.definitions.resources

    def partitions_def(
        self, declared: PartitionsDefinition | str | None, owner: str
    ) -> PartitionsDefinition | None:
        """Return a definition, looking it up if an asset refers to it by name."""
        if not isinstance(declared, str):
            return declared
        named = self.definitions.partition_defs
        if declared not in named:
            self.findings.add(
                f"{owner}: partition definition {declared!r} not found.{suggest(declared, named)}",
                ConfigurationError,
            )
        return named.get(declared)

    def _add_asset(self, asset: Asset) -> None:
        if isinstance(asset, MultiAsset):
            for output_def in asset.output_defs:
                self._add(self._multi_output(asset, output_def))
        elif isinstance(asset, GraphAsset):
            self._add_graph(asset)
        else:
            self._add(self._asset_output(asset, None if isinstance(asset, ExternalAsset) else asset.name))

    def _add_graph(self, asset: GraphAsset) -> None:
        recording = asset.record()
        self.recordings[asset.name] = recording
        for node in recording.nodes:
            handler = node.task.io_handler if node.task.io_handler is not None else asset.node_io_handler
            output = self._task_output(node.name, node.task, handler)
            output.is_asset = False
            if output.partitions_def is None:
                output.partitions_def = self.partitions_def(asset.partitions_def, f"asset {asset.name!r}")
            self._add(output)
        last = recording.nodes[-1].name if recording.result is None else recording.result.node_name
        self._add(self._asset_output(asset, last))

    def _asset_output(self, asset: Asset, step_name: str | None) -> StoredOutput:
        hint = asset.signature.return_hint if asset.function is not None and not asset.is_external else None
        return self._output(asset, asset.name, step_name, asset.io_handler, asset.metadata, hint)

    def _task_output(self, name: str, task: Task, handler: BaseIOHandler | str | None) -> StoredOutput:
        return self._output(task, name, name, handler, {}, task.signature.return_hint)

    def _multi_output(self, asset: MultiAsset, output_def: AssetDef) -> StoredOutput:
        handler = output_def.io_handler if output_def.io_handler is not None else asset.io_handler
        _, value = mapping_hint(asset.signature.return_hint) or (None, None)
        hint = value_hint(value)
        if output_def.type_hint is not None:
            hint = value_hint(output_def.type_hint)
        output = self._output(output_def, output_def.name, asset.name, handler, output_def.metadata, None)
        output.type_hint, output.accepted = hint, accepted_types(hint)
        return output

    def _output(
        self,
        owner: Asset | Task | AssetDef,
        name: str,
        step_name: str | None,
        handler: BaseIOHandler | str | None,
        metadata: Mapping[str, Any] | None,
        hint: Any,
    ) -> StoredOutput:
        stores_itself, type_hint = declares_materialization(hint), value_hint(hint)
        output = StoredOutput(
            name,
            step_name,
            binding=None,
            type_hint=type_hint,
            accepted=(Materialization,) if stores_itself else accepted_types(type_hint),
            metadata=dict(metadata or {}),
            partitions_def=self.partitions_def(owner.partitions_def, f"asset {name!r}"),
            code_version=getattr(owner, "code_version", None),
            tags=tuple(owner.tags or ()),
            kinds=tuple(getattr(owner, "kinds", None) or ()),
            group=getattr(owner, "group", None),
            description=getattr(owner, "description", None),
            returns_materialization=stores_itself,
        )
        with self.findings.collecting(f"asset {name!r}"):
            output.metadata = self.binder.metadata(name, output.metadata)
            output.binding = self.binder.bind(name, handler, output.metadata)
        return output

    def _add(self, output: StoredOutput) -> None:
        if output.name in self.outputs:
            self.findings.add(
                f"two assets are named {output.name!r}; rename one, since they would overwrite each other",
                AssetDefinitionError,
            )
        self.outputs[output.name] = output

    def _check_case(self) -> None:
        seen: dict[str, str] = {}
        for name in self.outputs:
            first = seen.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
            if first != name:
                differ = "differ only in case" if first.casefold() == name.casefold() else "look the same"
                self.findings.add(
                    f"{first!r} and {name!r} {differ}, which some file systems cannot distinguish; rename one"
                )
