"""Plugin of this package. Light to import: the executor class is imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers_core.hooks import ExecutorSpec, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator


@hookimpl
def rivers_executors() -> Iterator[ExecutorSpec]:
    """Register `dask`."""
    yield ExecutorSpec(
        name="dask",
        target="rivers_dask.executor:Dask",
        summary="Runs steps on the workers of a Dask cluster.",
    )
