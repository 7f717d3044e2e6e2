"""Executor that runs steps on the workers of a Dask cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rivers.exceptions import ConfigurationError, setting_error
from rivers.executors import Executor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rivers_core.authoring import Locality
    from rivers_dask.channel import DaskChannel


class Dask(Executor):
    """Runs steps on the workers of an existing Dask cluster, or of a local one that it starts.

    A step is submitted when its inputs are stored, and Dask decides which worker runs it. No task depends on the
    result of another, and a step that has started is never started again because a worker was lost. Workers need
    the code of the project and the same versions of the rivers packages.

    Args:
        address: Address of the scheduler, such as `tcp://scheduler:8786`; None starts a local cluster.
        n_workers: Number of processes of a local cluster; None for the number of CPUs.
        threads_per_worker: Steps that each worker of a local cluster runs at once.
        shared_filesystem: Whether all workers see the files of this machine under the same paths; None means only
            those of a local cluster.
        resources: Dask resources: those that each worker of a local cluster offers, or those that every step asks
            for on a cluster given by its address. A step also asks for its `Compute` as `CPU` (cores), `MEMORY`
            (bytes) and `GPU`, as far as workers offer resources with these names.

    Raises:
        ConfigurationError: An argument is not valid.

    Examples:
        >>> import rivers as rs
        >>> rs.Executor.dask(n_workers=2)
        Executor.Dask(n_workers=2)
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        n_workers: int | None = None,
        threads_per_worker: int = 1,
        shared_filesystem: bool | None = None,
        resources: Mapping[str, float] | None = None,
    ) -> None:
        given: object = address
        if given is not None and (not isinstance(given, str) or not given):
            raise ConfigurationError(f"Executor.dask: address must be non-empty text, got {address!r}.")
        if address is not None and n_workers is not None:
            raise ConfigurationError(
                f"Executor.dask: n_workers={n_workers!r} is for a local cluster. Omit it, or the address."
            )
        for name, value in (("n_workers", n_workers), ("threads_per_worker", threads_per_worker)):
            if value is not None and (type(value) is not int or value < 1):
                raise setting_error(value, int)(
                    f"Executor.dask: {name} must be a whole number, 1 or more, got {value!r}."
                )
        if shared_filesystem not in (None, True, False):
            raise ConfigurationError(
                f"Executor.dask: shared_filesystem must be True, False or None, got {shared_filesystem!r}."
            )
        self.address = address
        self.n_workers = n_workers
        self.threads_per_worker = threads_per_worker
        self.shared_filesystem = shared_filesystem
        self.resources = None if resources is None else dict(resources)

    @property
    def reach(self) -> Locality:
        """The host if all workers see its files, else other hosts."""
        shared = self.address is None if self.shared_filesystem is None else self.shared_filesystem
        return "host" if shared else "shared"

    def connect(self) -> DaskChannel:
        """Connect to the scheduler, or start a local cluster."""
        from rivers_dask.channel import DaskChannel

        return DaskChannel(self)

    def __repr__(self) -> str:
        defaults: dict[str, Any] = {"threads_per_worker": 1}
        given = {name: value for name, value in vars(self).items() if value != defaults.get(name)}
        return f"Executor.Dask({', '.join(f'{name}={value!r}' for name, value in given.items())})"
