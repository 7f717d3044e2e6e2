"""What came of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run did.

    Attributes:
        success: Every step that was to run did.
        run_id: The run, as the storage knows it.
        materialized_assets: Assets and tasks that have a new value or `Materialization`, in the order of the plan.
        failed_assets: Asset and message of each failure.
        skipped_assets: Asset and reason of each that was not run: an upstream failed, or it was fresh or
            finished already, perhaps for some of its partition keys only.
        errors: The error of each failure by asset, with its traceback; for this process, so that a pickled
            result arrives without.
    """

    success: bool
    run_id: str
    materialized_assets: list[str]
    failed_assets: list[tuple[str, str]]
    skipped_assets: list[tuple[str, str]]
    errors: Mapping[str, BaseException] = field(default_factory=dict, compare=False, repr=False)

    def __hash__(self) -> int:
        return hash(self.run_id)

    def __reduce__(self) -> tuple[Any, ...]:
        told = (self.success, self.run_id, self.materialized_assets, self.failed_assets, self.skipped_assets)
        return RunResult, told
