"""What came of a run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run did.

    Attributes:
        success: Every step that was to run did.
        run_id: The run, as the storage knows it.
        materialized_assets: Assets and tasks that have a new value or `Materialization`, in the order of the plan.
        failed_assets: Asset and message of each failure.
        skipped_assets: Asset and reason of each that was not run: an upstream failed, or it was fresh or
            finished already.
    """

    success: bool
    run_id: str
    materialized_assets: list[str]
    failed_assets: list[tuple[str, str]]
    skipped_assets: list[tuple[str, str]]

    def __hash__(self) -> int:
        return hash(self.run_id)
