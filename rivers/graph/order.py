"""The order in which steps can run."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rivers.graph.findings import Findings
    from rivers.graph.plan import Step, StoredOutput


CIRCLE_SHOWN = 20


def in_order(steps: dict[str, Step], outputs: dict[str, StoredOutput], findings: Findings) -> dict[str, Step]:
    """Sort steps so that each comes after those whose outputs it needs; a cycle is a finding.

    Declaration order is kept where nothing else decides, so that runs are easy to follow.
    """
    waits = {
        name: {
            made_by
            for upstream in step.upstream_names()
            if (made_by := outputs[upstream].step_name) is not None and made_by != name
        }
        for name, step in steps.items()
    }
    for name, step in steps.items():
        if any(outputs[loaded.upstream.name].step_name == name for loaded in step.inputs):
            findings.add(
                f"asset {name!r} takes its own value; annotate the parameter with SelfDependency to get the stored one"
            )
    try:
        return {name: steps[name] for name in TopologicalSorter(waits).static_order() if name in steps}
    except CycleError as error:
        findings.add(
            "assets depend on each other in a circle, each needing the next: "
            + _circle(list(reversed(error.args[1])))
        )
        return steps


def _circle(names: list[str]) -> str:
    if len(names) <= CIRCLE_SHOWN:
        return " -> ".join(names)
    shown = [*names[: CIRCLE_SHOWN - 1], f"({len(names) - CIRCLE_SHOWN} more)", names[-1]]
    return " -> ".join(shown)
