"""Requests to the API server: credentials, repetition of failed requests, and errors that say what to do."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import urllib3
from kubernetes import client, config

from rivers.exceptions import ConfigurationError
from rivers.executors.remote import LostStepError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rivers_kubernetes.types import Event, Manifest

_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_DELAYS: Final = (0.1, 0.3, 1.0, 3.0, 10.0)
_TIMEOUT: Final = (10, 60)
_WATCH_SECONDS: Final = 60
_LOG_SECONDS: Final = 3600
_CONNECTIONS: Final = 100
"""Enough for all logs that are followed at once: beyond it urllib3 warns about each connection."""
_TEMPORARY: Final = frozenset({408, 409, 429, 500, 502, 503, 504})
_GROUPS: Final = {"jobs": "batch"}


class GoneError(Exception):
    """A resource version is too old to watch from: list again."""


class Cluster:
    """Requests to one namespace.

    Args:
        api: Client of the API server.
        namespace: The namespace.
    """

    def __init__(self, api: client.ApiClient, namespace: str) -> None:
        self.namespace = namespace
        self._core = client.CoreV1Api(api)
        self._batch = client.BatchV1Api(api)

    @classmethod
    def connect(cls, namespace: str | None) -> Cluster:
        """Return a connection with the credentials of this environment.

        These are those of `KUBECONFIG`, else of the service account of this Pod, else of the user's default file.

        Args:
            namespace: The namespace; None takes the one of the credentials.

        Raises:
            ConfigurationError: There are no credentials.
        """
        configuration = client.Configuration()
        own = None
        try:
            if "KUBECONFIG" not in os.environ and (_ACCOUNT / "token").exists():
                config.load_incluster_config(client_configuration=configuration)
                own = own_namespace()
            else:
                file = os.environ.get("KUBECONFIG")  # the client reads it only once, when it is imported
                config.load_kube_config(file, client_configuration=configuration)
                _, context = config.list_kube_config_contexts(file)
                own = context["context"].get("namespace")
        except config.ConfigException as error:
            raise ConfigurationError(
                f"Could not find credentials of a Kubernetes cluster: {error}. Set KUBECONFIG, or run in a Pod whose "
                "service account token is mounted."
            ) from error
        configuration.retries = False  # requests are repeated here, with delays
        configuration.connection_pool_maxsize = _CONNECTIONS
        return cls(client.ApiClient(configuration), namespace or own or "default")

    # ------------------------------------------------------------------ objects

    def create(self, resource: str, manifest: Manifest) -> Manifest | None:
        """Create an object and return it; None if one of that name exists."""
        functions: dict[str, Callable[..., Any]] = {
            "configmaps": self._core.create_namespaced_config_map,
            "secrets": self._core.create_namespaced_secret,
            "jobs": self._batch.create_namespaced_job,
        }
        return self._request("create", resource, functions[resource], self.namespace, manifest)

    def get(self, resource: str, name: str) -> Manifest | None:
        """Return an object, or None if it does not exist."""
        functions: dict[str, Callable[..., Any]] = {
            "configmaps": self._core.read_namespaced_config_map,
            "secrets": self._core.read_namespaced_secret,
            "jobs": self._batch.read_namespaced_job,
            "pods": self._core.read_namespaced_pod,
        }
        return self._request("get", resource, functions[resource], name, self.namespace)

    def delete(self, resource: str, name: str) -> None:
        """Delete an object, and in the background what it owns."""
        functions: dict[str, Callable[..., Any]] = {
            "configmaps": self._core.delete_namespaced_config_map,
            "jobs": self._batch.delete_namespaced_job,
        }
        self._request(
            "delete", resource, functions[resource], name, self.namespace, propagation_policy="Background"
        )

    def events_of(self, uid: str) -> list[Manifest]:
        """Return the cluster's events about an object, the newest last."""
        listing = self._request(
            "list", "events", self._core.list_namespaced_event, self.namespace,
            field_selector=f"involvedObject.uid={uid}",
        )  # fmt: skip
        items: list[Manifest] = [] if listing is None else listing["items"]
        return sorted(items, key=lambda item: item.get("lastTimestamp") or "")

    def items(self, resource: str, selector: str) -> tuple[list[Manifest], str]:
        """Return the objects with certain labels, and the version from which to watch them."""
        listing = self._request(
            "list", resource, self._listing(resource), self.namespace, label_selector=selector
        )
        assert listing is not None
        return listing["items"], listing["metadata"]["resourceVersion"]

    def watch(self, resource: str, selector: str, version: str) -> Iterator[Event]:
        """Yield changes until the server ends the watch.

        Raises:
            GoneError: The version is too old.
            OSError: The connection was lost; so does an error of urllib3.
        """
        answer = self._send(
            "watch", resource, self._listing(resource), self.namespace, label_selector=selector, watch=True,
            resource_version=version, timeout_seconds=_WATCH_SECONDS, _request_timeout=(10, _WATCH_SECONDS + 30),
        )  # fmt: skip
        try:
            for line in _lines(answer):
                event: Event = json.loads(line)
                if event["type"] == "ERROR":
                    if event["object"].get("code") == 410:
                        raise GoneError
                    raise ConnectionError(event["object"].get("message"))
                yield event
        finally:
            answer.close()

    def log(self, pod: str, container: str, *, follow: bool) -> Iterator[bytes]:
        """Yield the lines that a container has written."""
        answer = self._send(
            "get", "pods/log", self._core.read_namespaced_pod_log, pod, self.namespace, container=container,
            follow=follow, _request_timeout=(10, _LOG_SECONDS if follow else 60),
        )  # fmt: skip
        try:
            yield from _lines(answer)
        finally:
            answer.close()

    def _listing(self, resource: str) -> Callable[..., Any]:
        functions: dict[str, Callable[..., Any]] = {
            "configmaps": self._core.list_namespaced_config_map,
            "jobs": self._batch.list_namespaced_job,
            "pods": self._core.list_namespaced_pod,
        }
        return functions[resource]

    # ------------------------------------------------------------------ requests

    def _request(
        self, verb: str, resource: str, function: Callable[..., Any], *arguments: Any, **options: Any
    ) -> Manifest | None:
        """Send a request, again after a temporary failure; return the decoded answer, or None.

        None means: the object to create exists, or the one to read or delete does not.

        Raises:
            ConfigurationError: The cluster refuses the request.
            LostStepError: The API server does not answer, or a quota is used up.
        """
        failure: Exception | None = None
        for delay in (*_DELAYS, None):
            try:
                answer = self._send(verb, resource, function, *arguments, **options)
                decoded: Manifest = json.loads(answer.data)
                return decoded
            except client.ApiException as error:
                if (error.status == 404 and verb in ("get", "delete")) or is_existing(error):
                    return None
                if error.status not in _TEMPORARY:
                    raise self.explained(error, verb, resource) from error
                failure = error
            except (urllib3.exceptions.HTTPError, OSError) as error:
                failure = error
            if delay is not None:
                time.sleep(delay)
        raise LostStepError(
            f"Could not {verb} {resource} in namespace {self.namespace!r}: the API server failed {len(_DELAYS) + 1} "
            f"times. The last answer: {words_of(failure)}. Check the API server, and retry."
        ) from failure

    def _send(
        self, verb: str, resource: str, function: Callable[..., Any], *arguments: Any, **options: Any
    ) -> urllib3.HTTPResponse:
        del verb, resource
        options.setdefault("_request_timeout", _TIMEOUT)
        try:
            answer: urllib3.HTTPResponse = function(*arguments, **options, _preload_content=False)
        except client.ApiException as error:
            if error.status == 410:
                raise GoneError from error
            raise
        return answer

    def explained(self, error: client.ApiException, verb: str, resource: str) -> Exception:
        """Return the error of a refused request, with the server's words and what to do."""
        what = f"Could not {verb} {resource} in namespace {self.namespace!r}"
        words = words_of(error)
        if error.status == 401:
            return ConfigurationError(f"{what}: {words}. The credentials are not valid; renew them.")
        if error.status == 403 and "exceeded quota" in words:
            return LostStepError(
                f"{what}: {words}. Raise the quota, or lower max_concurrent_steps or compute."
            )
        if error.status == 403 and re.search(r"cannot \w+ resource", words):
            group = _GROUPS.get(resource, "")
            return ConfigurationError(
                f"{what}: {words}. Add verb {verb!r} on resource {resource!r} (apiGroups: [{group!r}]) to the Role of "
                "the coordinator; the documentation of the executor lists all that it needs."
            )
        if error.status == 404:
            return ConfigurationError(f"{what}: {words}. Create the namespace, or set namespace=.")
        return ConfigurationError(f"{what}: {words}. Check pod_template and the arguments of the executor.")


def own_namespace() -> str | None:
    """Return the namespace of the Pod that this process runs in, or None outside a cluster."""
    file = _ACCOUNT / "namespace"
    return file.read_text().strip() if file.exists() else None


def is_existing(error: client.ApiException) -> bool:
    """Return whether a request failed because an object of the name exists."""
    return error.status == 409 and _status(error).get("reason") == "AlreadyExists"


def words_of(error: Exception | None) -> str:
    """Return the message of an error, in the words of the API server if it answered."""
    text = str(error)
    if isinstance(error, client.ApiException):
        text = str(_status(error).get("message") or error.reason or error.status)
    return text.rstrip(".")


def _status(error: client.ApiException) -> dict[str, Any]:
    try:
        status = json.loads(error.body or "")
    except (TypeError, ValueError, RecursionError):
        return {}
    return status if isinstance(status, dict) else {}


def _lines(answer: urllib3.HTTPResponse) -> Iterator[bytes]:
    """Yield complete lines of an answer as they arrive."""
    rest = b""
    for chunk in answer.stream(None):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest
