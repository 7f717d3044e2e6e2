"""RunPlan: what a run would do, without running or writing anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rivers.definitions.html import html_table
from rivers.execution.handler_calls import shown_address
from rivers.execution.lineage import History
from rivers.execution.staleness import status_of
from rivers_core.authoring import shown_keys
from rivers_core.contexts import OutputContext
from rivers_core.partitions import PartitionContext

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rivers.execution.keys import PartitionMode
    from rivers.execution.run import Run
    from rivers.graph.plan import Plan, Step, StoredOutput
    from rivers_core.partitions import PartitionKey

_COLUMNS = ("Step", "Partitions", "Why", "Handler", "Address")


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step that a run would execute.

    Attributes:
        name: Name of the step.
        outputs: Names of the values that it stores.
        partitions: Display forms of its partition keys; empty without partitions.
        why: Why it runs: `missing`, `stale: ...`, `requested`, or which upstream runs.
        handler: Handler of its values.
        address: Address of its first value, if the handler has one.
    """

    name: str
    outputs: tuple[str, ...]
    partitions: tuple[str, ...]
    why: str
    handler: str
    address: str | None

    def row(self) -> tuple[str, ...]:
        """Return the step as a row of the table."""
        return self.name, shown_keys(self.partitions), self.why, self.handler, self.address or ""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """The steps that a run would execute, in order; nothing was run or written.

    Attributes:
        steps: The steps.
        skipped: Steps that the run would skip, with the reason.
    """

    steps: tuple[PlannedStep, ...]
    skipped: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[PlannedStep]:
        return iter(self.steps)

    def __str__(self) -> str:
        if not self.steps:
            return "Nothing to run."
        rows = [_COLUMNS, *(step.row() for step in self.steps)]
        widths = [max(len(row[index]) for row in rows) for index in range(len(_COLUMNS))]
        lines = (
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows
        )
        return "\n".join(line.rstrip() for line in lines)

    def _repr_html_(self) -> str:
        """Return the plan as an HTML table, for notebooks."""
        caption = "Planned run" if self.steps else "Nothing to run"
        return html_table(caption, _COLUMNS, [step.row() for step in self.steps])


FRESH = "fresh: its code, handler and inputs are unchanged"


def preview(run: Run, *, only_stale: bool, mode: PartitionMode | None = None) -> RunPlan:
    """Return a preview of a run, based on the values that are stored now.

    Args:
        run: The run, before its first step; its storage is only read.
        only_stale: Whether it would skip fresh values.
        mode: Which keys it selects.
    """
    plan, history = run.plan, History(run.storage)
    steps: list[PlannedStep] = []
    skipped: list[tuple[str, str]] = []
    runs: set[str] = set()
    for step in plan.steps:
        if step.name in run.finished:
            skipped.append((step.owner, run.skipped[step.name]))
            continue
        upstream = next((name for name in plan.after[step.name] if name in runs), None)
        keys = run.keys.get(step.name) or (None,)
        reasons = {key: _why(step, plan, key, history, upstream) for key in keys}
        if mode == "missing":
            reasons = {key: why for key, why in reasons.items() if why == "missing"}
        elif only_stale or mode == "stale":
            reasons = {key: why for key, why in reasons.items() if why != "requested"}
        if not reasons:
            why = "stored, and only missing values run" if mode == "missing" else FRESH
            skipped.append((step.owner, why))
            continue
        runs.add(step.name)
        texts = dict.fromkeys(reasons.values())
        why = next(iter(texts)) if len(texts) == 1 else "; ".join(f"{text}" for text in texts)
        steps.append(_planned(step, plan, [key for key in reasons if key is not None], why))
    return RunPlan(tuple(steps), tuple(skipped))


def _why(step: Step, plan: Plan, key: PartitionKey | None, history: History, upstream: str | None) -> str:
    for output in plan.outputs_of(step):
        status = status_of(output, step, key, history)
        if status.state == "missing":
            return "missing"
        if status.state == "stale":
            return f"stale: {status.reason}"
    return "requested" if upstream is None else f"upstream {upstream!r} runs"


def _planned(step: Step, plan: Plan, keys: Sequence[PartitionKey], why: str) -> PlannedStep:
    outputs = plan.outputs_of(step)
    names = tuple(output.name for output in outputs)
    labels = dict.fromkeys(output.binding.label for output in outputs if output.binding is not None)
    address = _address(outputs[0], keys) if outputs else None
    return PlannedStep(step.name, names, tuple(map(str, keys)), why, ", ".join(labels), address)


def _address(output: StoredOutput, keys: Sequence[PartitionKey]) -> str | None:
    partition = PartitionContext([keys[0]], output.partitions_def) if keys else None
    return shown_address(output.handler, OutputContext(output.name, output.metadata, partition))
