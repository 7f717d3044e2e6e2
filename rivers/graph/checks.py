"""Checks over a whole graph that need neither data nor stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers.graph.findings import did_you_mean
from rivers.graph.steps import EXECUTOR_KEY

if TYPE_CHECKING:
    from rivers.graph.findings import Findings
    from rivers.graph.plan import Graph, Step, StoredOutput

OWN_NAMESPACE = "rivers"
OWN_OPTIONS = (EXECUTOR_KEY,)
PLACES = ("in_process", "parallel")


def check_graph(graph: Graph, findings: Findings) -> None:
    """Add a finding for each thing that cannot work once steps run."""
    for output in graph.outputs.values():
        _check_own_options(output, findings)
        if output.binding is not None:
            for problem in output.handler.check_options(output.metadata):
                findings.add(f"asset {output.name!r}: {problem}")
            _check_stored_type(output, findings)
    for step in graph.steps.values():
        _check_partitions(step, findings)
    _check_locations(graph, findings)


def _check_own_options(output: StoredOutput, findings: Findings) -> None:
    for key in output.metadata:
        if key.startswith(f"{OWN_NAMESPACE}/") and key not in OWN_OPTIONS:
            findings.add(f"asset {output.name!r}: unknown option {key!r}; {did_you_mean(key, OWN_OPTIONS)}")
    place = output.metadata.get(EXECUTOR_KEY, PLACES[0])
    if place not in PLACES:
        findings.add(
            f"asset {output.name!r}: {EXECUTOR_KEY}={place!r} is no place to run it; {did_you_mean(str(place), PLACES)}"
        )


def _check_stored_type(output: StoredOutput, findings: Findings) -> None:
    hint = output.type_hint
    if hint is not None and not output.returns_materialization and not output.handler.accepts_type(hint):
        shown = hint.__qualname__ if isinstance(hint, type) else str(hint)
        assert output.binding is not None
        findings.add(
            f"asset {output.name!r}: returns {shown}, which its handler {output.binding.label!r} cannot store"
        )


def _check_partitions(step: Step, findings: Findings) -> None:
    """All outputs of one call are made for the same keys."""
    for output in step.outputs[1:]:
        if output.partitions_def != step.partitions_def:
            findings.add(
                f"asset {step.name!r}: its outputs {step.outputs[0].name!r} and {output.name!r} have different "
                "partitions, but one call makes both; give them the same, or make two assets"
            )


def _check_locations(graph: Graph, findings: Findings) -> None:
    """Of two outputs of one kind of handler, neither may lie at the address of the other, or inside of it."""
    seen: dict[tuple[type, str], str] = {}
    for output in graph.outputs.values():
        if output.binding is None:
            continue
        address = output.handler.storage_location(output.name, output.metadata)
        if address is None:
            continue
        other = seen.setdefault((type(output.handler.storing_handler()), address), output.name)
        if other != output.name:
            findings.add(
                f"assets {other!r} and {output.name!r} would both be stored at {address}; give one another name or root"
            )
    for (kind, address), name in seen.items():
        for folder in _above(address):
            outer = seen.get((kind, folder))
            if outer is not None:
                findings.add(
                    f"asset {name!r} would be stored at {address}, inside of asset {outer!r} at {folder}; give one "
                    "another name or root"
                )


def _above(address: str) -> list[str]:
    """The addresses that an address lies inside of: what stands before each of its slashes."""
    parts = address.split("/")
    return ["/".join(parts[:number]) for number in range(1, len(parts))]
