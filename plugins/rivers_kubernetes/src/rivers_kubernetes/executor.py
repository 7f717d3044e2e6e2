"""Executor that runs each step as a Kubernetes Job."""

from __future__ import annotations

import inspect
import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from rivers.definitions.retry import Compute
from rivers.exceptions import ConfigurationError, setting_error
from rivers.executors import Executor
from rivers_kubernetes.job import CONTAINER, JobTerms, parse_template
from rivers_kubernetes.run_store import checked_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rivers.executors.remote import Channel
    from rivers_core.authoring import Locality

_PENDING_SECONDS: Final = 600.0


class Kubernetes(Executor):
    """Runs each step as a Job, whose Pod loads the inputs and stores the outputs.

    Credentials are those of `KUBECONFIG`, of the Pod that this process runs in, or of the user's default file.

    Args:
        worker_image: Image with Python, the code of the project and `rivers-io[kubernetes]`. By default that of the
            Pod that this process runs in; outside a cluster it is required.
        max_concurrent_steps: Number of Jobs that may run at once; None for no limit.
        namespace: Namespace of the Jobs; by default that of the credentials.
        service_account: Service account of the Pods.
        worker_cpu: CPU of steps whose `compute=` does not set one.
        worker_memory: Memory of steps whose `compute=` does not set it; it is also the limit.
        run_store: URL of an object store that this process and the Pods share, such as `s3://bucket/runs`.
        shared_filesystem: Whether the Pods see the files of this machine under the same paths.
        pending_timeout: Seconds or timedelta within which a Pod has to start; 10 minutes by default.
        step_timeout: Deadline of steps without `timeout=`, in seconds or as timedelta; 7 days by default.
        pod_template: Mapping, YAML text or YAML file with `metadata` and `spec` of the Pods. The container named
            `rivers` runs the step, others are sidecars.

    Raises:
        ConfigurationError: An argument is not valid.

    Examples:
        >>> Kubernetes("registry/flights:1", run_store="s3://bucket/runs", max_concurrent_steps=20)
        Executor.Kubernetes(worker_image='registry/flights:1', max_concurrent_steps=20, run_store='s3://bucket/runs')
    """

    def __init__(
        self,
        worker_image: str | None = None,
        *,
        max_concurrent_steps: int | None = None,
        namespace: str | None = None,
        service_account: str = "rivers-executor",
        worker_cpu: str | float = "500m",
        worker_memory: str | int = "512Mi",
        run_store: str | Path | None = None,
        shared_filesystem: bool | None = None,
        pending_timeout: float | timedelta | None = None,
        step_timeout: float | timedelta | None = None,
        pod_template: Mapping[str, Any] | str | Path | None = None,
    ) -> None:
        if max_concurrent_steps is not None and (
            type(max_concurrent_steps) is not int or max_concurrent_steps < 1
        ):
            raise setting_error(max_concurrent_steps, int)(
                f"max_concurrent_steps must be a whole number, 1 or more, got {max_concurrent_steps!r}."
            )
        compute = Compute(cpu=worker_cpu, memory=worker_memory)
        parse_template(pod_template)
        self.worker_image = worker_image
        self.max_concurrent_steps = max_concurrent_steps
        self.namespace = namespace
        self.service_account = service_account
        self.worker_cpu = compute.cpu
        self.worker_memory = compute.memory
        self.run_store = (
            None if run_store is None else checked_url(run_store, shared_filesystem=bool(shared_filesystem))
        )
        self.shared_filesystem = shared_filesystem
        self.pending_timeout = _seconds("pending_timeout", pending_timeout)
        self.step_timeout = _seconds("step_timeout", step_timeout)
        self.pod_template = pod_template

    @property
    def reach(self) -> Locality:
        """Reach of the executor: other hosts, which with a shared file system see the same files."""
        return "host" if self.shared_filesystem else "shared"

    def connect(self) -> Channel:
        """Return a channel to the cluster. See `Executor.connect`.

        Raises:
            ConfigurationError: There are no credentials, or image or run store are missing.
        """
        from rivers_kubernetes.channel import KubernetesChannel
        from rivers_kubernetes.cluster import Cluster  # the client takes a second to import

        if self.run_store is None:
            raise ConfigurationError(
                "Executor.kubernetes needs a run store through which Pods report. Use run_store='s3://bucket/runs'."
            )
        cluster = Cluster.connect(self.namespace)
        template = parse_template(self.pod_template)
        terms = JobTerms(
            self.worker_image or _image_of_template(template) or image_of_own_pod(),
            self.service_account,
            Compute(cpu=self.worker_cpu, memory=self.worker_memory),
            template,
            self.run_store,
            self.step_timeout,
        )
        pending = _PENDING_SECONDS if self.pending_timeout is None else self.pending_timeout
        return KubernetesChannel(cluster, terms, self.max_concurrent_steps, pending)

    @classmethod
    def work(cls, arguments: Sequence[str]) -> int:
        """Run the step of a Job. See `Executor.work`."""
        from rivers_kubernetes.worker import run_step

        return run_step(arguments)

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        given = (f"{name}={value!r}" for name, value in vars(self).items() if value != defaults[name].default)
        return f"Executor.Kubernetes({', '.join(given)})"


def image_of_own_pod() -> str:
    """Return the image of the Pod that this process runs in.

    Raises:
        ConfigurationError: It does not run in a Pod.
    """
    from rivers_kubernetes.cluster import Cluster, own_namespace

    namespace = own_namespace()
    pod = None
    if namespace is not None:
        pod = Cluster.connect(namespace).get("pods", os.environ.get("HOSTNAME", ""))
    if pod is None:
        raise ConfigurationError(
            "Executor.kubernetes needs worker_image, because this process does not run in a Pod whose image the "
            "workers could have. Use worker_image='registry/project:tag'."
        )
    containers = pod["spec"]["containers"]
    own = next((item for item in containers if item["name"] == CONTAINER), containers[0])
    return str(own["image"])


def _image_of_template(template: Mapping[str, Any]) -> str | None:
    containers = template.get("spec", {}).get("containers", ())
    return next((item.get("image") for item in containers if item.get("name") == CONTAINER), None)


def _seconds(name: str, value: object) -> float | None:
    if value is None:
        return None
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds < float("inf"):
        raise ConfigurationError(
            f"{name} must be a positive number of seconds or a timedelta, got {value!r}."
        )
    return float(seconds)
