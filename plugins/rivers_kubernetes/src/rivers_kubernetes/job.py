"""Manifest of the Job that runs one attempt of a step: the user's pod template with what the worker needs."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from rivers.exceptions import ConfigurationError
from rivers_kubernetes.names import labels_of, object_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rivers.definitions.retry import Compute
    from rivers.executors.remote import StepRequest
    from rivers_kubernetes.types import Manifest

CONTAINER: Final = "rivers"
"""Name of the container that runs the step; others of the template are sidecars."""

MOUNT: Final = "/var/run/rivers"
"""Where the container finds the Secrets of the run."""

PATH_ANNOTATION: Final = "rivers/path"
"""Where request and report of a Job are in the run store."""

RECORD_KEY: Final = "rivers_line"
"""Attribute of a log record with its number in the worker, by which the report's copy of it is recognized."""

TTL_SECONDS: Final = 300
LONGEST_SECONDS: Final = 7 * 24 * 3600
"""Deadline of a Job whose step has no time limit, so that a hanging step of a killed coordinator ends."""

_GPU: Final = "nvidia.com/gpu"


@dataclass(frozen=True, slots=True)
class JobTerms:
    """Properties that all Jobs of an executor share.

    Attributes:
        image: Image of the worker, unless the template has one.
        service_account: Service account of the pods.
        compute: Machine resources of steps that declare none.
        template: The user's pod template.
        run_store: URL of the run store.
        step_timeout: Deadline in seconds of steps that have none.
    """

    image: str
    service_account: str
    compute: Compute
    template: Mapping[str, Any]
    run_store: str
    step_timeout: float | None


def job_name(request: StepRequest, call: str, token: str) -> str:
    """Return the name of the Job of a request.

    Args:
        request: The request.
        call: Its `call_id`.
        token: Differs for each Job of the same call.
    """
    return object_name(request.asset, call, str(request.attempt), token)


def job_manifest(
    request: StepRequest,
    terms: JobTerms,
    *,
    name: str,
    path: str,
    owner: Mapping[str, str],
    secrets: Sequence[str],
) -> Manifest:
    """Return the Job that runs a request.

    Args:
        request: The request.
        terms: What all Jobs have in common.
        name: Name of the Job.
        path: Where request and report are in the run store.
        owner: Reference to the ConfigMap of the run.
        secrets: Secrets of the run that the container gets as files.
    """
    labels = dict(labels_of(request))
    deadline = request.timeout or terms.step_timeout or LONGEST_SECONDS
    template = deepcopy(dict(terms.template))
    metadata = template.setdefault("metadata", {})
    metadata["labels"] = {**metadata.get("labels", {}), **labels}
    pod = template.setdefault("spec", {})
    pod.update(restartPolicy="Never")
    pod.setdefault("serviceAccountName", terms.service_account)
    # the worker never calls the API server
    pod.setdefault("automountServiceAccountToken", False)
    sources = [{"secret": {"name": secret}} for secret in secrets]
    pod["volumes"] = [*pod.get("volumes", ()), {"name": "rivers-run", "projected": {"sources": sources}}]
    containers: list[Manifest] = pod.get("containers", [])
    own = next((item for item in containers if item.get("name") == CONTAINER), {})
    others = [item for item in containers if item is not own]
    pod["containers"] = [_container(own, request, terms, path), *others]
    annotations = {PATH_ANNOTATION: path}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name, "labels": labels, "annotations": annotations, "ownerReferences": [dict(owner)],
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": max(1, math.ceil(deadline)),
            "ttlSecondsAfterFinished": TTL_SECONDS,
            "template": template,
        },
    }  # fmt: skip


def _container(own: Mapping[str, Any], request: StepRequest, terms: JobTerms, path: str) -> Manifest:
    """Return the container of the worker: that of the template, with command, resources and Secrets."""
    variables = [
        {"name": "PYTHONUNBUFFERED", "value": "1"},
        {"name": "RIVERS_POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]
    mounts = [*own.get("volumeMounts", ()), {"name": "rivers-run", "mountPath": MOUNT, "readOnly": True}]
    return {
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **own,
        "name": CONTAINER,
        "image": terms.image or own.get("image", ""),
        "command": ["python", "-m", "rivers.worker", "kubernetes"],
        "args": [terms.run_store, path],
        "env": [*own.get("env", ()), *variables],
        "volumeMounts": mounts,
        "resources": resources_of(request.compute, terms.compute, own.get("resources", {})),
    }


def resources_of(compute: Compute | None, default: Compute, given: Mapping[str, Any]) -> Manifest:
    """Return the resources of a container; the limit of memory is what it requests.

    Args:
        compute: What the asset declares, if anything.
        default: What the executor declares.
        given: Further resources of the pod template, such as ephemeral storage.
    """
    cpu = compute.cpu if compute is not None and compute.cpu is not None else default.cpu
    memory = compute.memory if compute is not None and compute.memory is not None else default.memory
    limits: dict[str, Any] = {"memory": memory}
    if compute is not None and compute.gpu not in (None, "0"):
        limits[_GPU] = compute.gpu
    requests = {"cpu": cpu, "memory": memory}
    return {
        **given,
        "requests": {**given.get("requests", {}), **requests},
        "limits": {**given.get("limits", {}), **limits},
    }


def parse_template(value: object) -> dict[str, Any]:
    """Return a pod template: `metadata` and `spec` as in a Deployment, or a Pod manifest.

    Args:
        value: A mapping, YAML text, or the path of a YAML file; None for an empty template.

    Raises:
        ConfigurationError: It cannot be read, or is not a pod template.
    """
    if value is None:
        return {}
    content: object = value
    try:
        if isinstance(value, Path) or (isinstance(value, str) and "\n" not in value and ": " not in value):
            content = Path(value).expanduser().read_text()
        if isinstance(content, str):
            content = yaml.safe_load(content)
    except (OSError, yaml.YAMLError) as error:
        raise ConfigurationError(
            f"Could not read pod_template: {error}. Use a mapping, YAML or a file."
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("spec", {}), dict):
        raise ConfigurationError(
            f"pod_template must be a pod template with `metadata` and `spec`, got {content!r}. "
            "Use e.g. {'spec': {'nodeSelector': {'pool': 'batch'}}}."
        )
    unknown = sorted(set(content) - {"apiVersion", "kind", "metadata", "spec"})
    if unknown:
        raise ConfigurationError(
            f"pod_template has unknown keys: {', '.join(unknown)}. Put them below `spec`."
        )
    template = deepcopy({key: content[key] for key in ("metadata", "spec") if content.get(key)})
    template.get("metadata", {}).pop("name", None)
    return template
