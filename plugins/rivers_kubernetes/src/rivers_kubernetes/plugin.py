"""Plugin of this package. Light to import: the executor class is imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers_core.hooks import ExecutorSpec, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator


@hookimpl
def rivers_executors() -> Iterator[ExecutorSpec]:
    """Register `kubernetes`."""
    yield ExecutorSpec(
        name="kubernetes",
        target="rivers_kubernetes.executor:Kubernetes",
        summary="Runs each step as a Kubernetes Job.",
    )
