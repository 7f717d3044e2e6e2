"""Check a whole graph, without data and without access to stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers.exceptions import PartitionValidationError
from rivers.graph.findings import suggest
from rivers.graph.steps import EXECUTOR_KEY, NODE_EXECUTOR_KEY

if TYPE_CHECKING:
    from rivers.graph.findings import Findings
    from rivers.graph.plan import Graph, Step, StoredOutput

OWN_NAMESPACE = "rivers"
OWN_OPTIONS = (EXECUTOR_KEY, NODE_EXECUTOR_KEY)


def check_graph(graph: Graph, findings: Findings) -> None:
    """Add a finding for each problem that would only show when steps run."""
    for output in graph.outputs.values():
        _check_own_options(output, findings)
        if output.binding is not None:
            with findings.collecting(f"asset {output.name!r}"):
                for problem in output.handler.check_options(output.metadata):
                    findings.add(f"asset {output.name!r}: {problem}")
                _check_stored_type(output, findings)
    for step in graph.steps.values():
        _check_partitions(step, findings)
    _check_locations(graph, findings)


def _check_own_options(output: StoredOutput, findings: Findings) -> None:
    for key in output.metadata:
        if key.startswith(f"{OWN_NAMESPACE}/") and key not in OWN_OPTIONS:
            findings.add(f"asset {output.name!r}: unknown option {key!r}.{suggest(key, OWN_OPTIONS)}")
    for key in OWN_OPTIONS:
        executor = output.metadata.get(key, "")
        if not isinstance(executor, str):
            findings.add(f"asset {output.name!r}: {key} must be the name of an executor, got {executor!r}")


def _check_stored_type(output: StoredOutput, findings: Findings) -> None:
    hint = output.type_hint
    if hint is not None and not output.returns_materialization and not output.handler.accepts_type(hint):
        shown = hint.__qualname__ if isinstance(hint, type) else str(hint)
        assert output.binding is not None
        findings.add(
            f"asset {output.name!r}: returns {shown}, which its handler {output.binding.label!r} does not accept. "
            "Return another type, or use another handler."
        )


def _check_partitions(step: Step, findings: Findings) -> None:
    """Require common partition keys of all outputs, since one call returns them for the same keys."""
    for output in step.outputs:
        if output.partitions_def is not None and step.partitions_def is None:
            findings.add(
                f"asset {step.name!r}: its outputs {', '.join(repr(item.name) for item in step.outputs)} have no "
                "partition key in common, but one call returns all for one key; use the same partitions, or several "
                "assets",
                PartitionValidationError,
            )


def _check_locations(graph: Graph, findings: Findings) -> None:
    """Reject outputs of one handler class whose addresses are equal or nested."""
    seen: dict[tuple[type, str], str] = {}
    for output in graph.outputs.values():
        if output.binding is None:
            continue
        address = output.handler.storage_location(output.name, output.metadata)
        if address is None:
            continue
        first = seen.setdefault((type(output.handler.storing_handler()), address), output.name)
        if first != output.name:
            findings.add(
                f"assets {first!r} and {output.name!r} would both be stored at {address}; change the name or root "
                "of one"
            )
    for (kind, address), name in seen.items():
        for folder in _above(address):
            outer = seen.get((kind, folder))
            if outer is not None:
                findings.add(
                    f"asset {name!r} would be stored at {address}, inside asset {outer!r} at {folder}; change the "
                    "name or root of one"
                )


def _above(address: str) -> list[str]:
    """Return the addresses that enclose an address: its part before each slash."""
    parts = address.split("/")
    return ["/".join(parts[:number]) for number in range(1, len(parts))]
