"""Objects that a run has in the cluster: a ConfigMap that owns all others, and Secrets for what must not be shown."""

from __future__ import annotations

import base64
import logging
import secrets
import time
import zlib
from typing import TYPE_CHECKING, Final

from rivers.exceptions import ConfigurationError
from rivers.executors.remote.bundle import open_bundle
from rivers_core.authoring import secrets_of
from rivers_kubernetes.names import RUN_LABEL, label_value, object_name, run_name
from rivers_kubernetes.run_store import RunStore, run_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rivers.executors.remote.bundle import Bundle
    from rivers.storage import EventStorage
    from rivers_kubernetes.cluster import Cluster
    from rivers_kubernetes.types import Manifest

_LOG = logging.getLogger("rivers.run")

_KEPT_SECONDS: Final = 24 * 3600
"""Time in which an interrupted run may be resumed with the reports of its Jobs."""

_SECRET_BYTES: Final = 1_000_000  # the API server accepts a mebibyte with all names


class RunObjects:
    """The objects of one run; those of an earlier coordinator of the run are taken over.

    Args:
        cluster: The cluster.
        store_url: URL of the run store.
        run_id: Identifier of the run.
    """

    def __init__(self, cluster: Cluster, store_url: str, run_id: str) -> None:
        self._cluster = cluster
        self._store_url = store_url
        self._run_id = run_id
        self.name = run_name(run_id)
        self.folder = run_folder(self.name)
        self.is_resumed = False
        self.owner: Mapping[str, str] = {}
        self._bundles: dict[str, str] = {}

    def open(self) -> RunStore:
        """Create the ConfigMap and the Secret with the key of the run store, and return the store."""
        manifest = self._manifest("ConfigMap", self.name, data={"run": self._run_id})
        owner = self._cluster.create("configmaps", manifest)
        if owner is None:
            self.is_resumed = True
            owner = self._cluster.get("configmaps", self.name)
        if owner is None:
            raise ConfigurationError(
                f"ConfigMap {self.name!r} of run {self._run_id!r} is being deleted. Resume the run again."
            )
        self.owner = {
            "apiVersion": "v1", "kind": "ConfigMap", "name": self.name, "uid": owner["metadata"]["uid"],
        }  # fmt: skip
        return RunStore(self._store_url, self._key())

    def close(self, store: RunStore) -> None:
        """Delete the ConfigMap, and thereby all that it owns, and the objects in the run store."""
        self._cluster.delete("configmaps", self.name)
        store.delete_all(self.folder)

    def delete_abandoned(self, store: RunStore, storage: EventStorage) -> None:
        """Delete what runs that were never resumed left, a day after they ended.

        Args:
            store: The run store.
            storage: Event log that knows these runs; those of other logs are left alone.
        """
        try:
            owners, _ = self._cluster.items("configmaps", RUN_LABEL)
        except ConfigurationError as error:
            _LOG.debug("Could not look for runs that were never resumed: %s", error)
            return
        latest = time.time_ns() - _KEPT_SECONDS * 10**9
        for owner in owners:
            run_id = owner.get("data", {}).get("run")
            record = None if run_id in (None, self._run_id) else storage.get_run(run_id)
            if record is not None and record.end_time is not None and record.end_time < latest:
                name = owner["metadata"]["name"]
                _LOG.info("Deleting what run %s left in the cluster", run_id)
                self._cluster.delete("configmaps", name)
                store.delete_all(run_folder(name))

    def secrets_with(self, bundle: Bundle, store: RunStore) -> list[str]:
        """Return the names of the Secrets with the key and a bundle, which are created on first use.

        Raises:
            ConfigurationError: The bundle contains secrets and does not fit into a Secret.
        """
        if bundle.digest not in self._bundles:
            self._bundles[bundle.digest] = self._create_bundle(bundle, store)
        return [self.name, self._bundles[bundle.digest]]

    def create_secret(self, name: str, data: Mapping[str, bytes]) -> None:
        """Create a Secret that the run owns, unless it exists."""
        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        self._cluster.create("secrets", self._manifest("Secret", name, data=encoded))

    def _key(self) -> bytes:
        self.create_secret(self.name, {"key": secrets.token_bytes(32)})
        secret = self._cluster.get("secrets", self.name)
        if secret is None:
            raise ConfigurationError(
                f"Secret {self.name!r} was deleted while the run was opened. Run it again."
            )
        return base64.b64decode(secret["data"]["key"])

    def _create_bundle(self, bundle: Bundle, store: RunStore) -> str:
        packed = zlib.compress(bundle.data)
        name = object_name("run", self.name.rpartition("-")[2], bundle.digest[:10])
        content = {"digest": bundle.digest.encode()}
        if len(packed) <= _SECRET_BYTES:
            content["bundle"] = packed
        elif holds_secrets(bundle):
            raise ConfigurationError(
                f"The steps of the repository take {len(packed)} bytes with their secrets, and a Secret holds "
                f"{_SECRET_BYTES}. Read the secrets from the environment, with a Secret in pod_template."
            )
        else:
            path = f"{self.folder}/bundle-{bundle.digest}"
            store.put(path, packed)
            content["bundle-path"] = path.encode()
        self.create_secret(name, content)
        return name

    def _manifest(self, kind: str, name: str, data: Mapping[str, str]) -> Manifest:
        labels = {RUN_LABEL: label_value(self._run_id)}
        metadata: Manifest = {"name": name, "labels": labels}
        if self.owner:
            metadata["ownerReferences"] = [dict(self.owner)]
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": dict(data)}


def holds_secrets(bundle: Bundle) -> bool:
    """Return whether handlers or resources of a bundle hold secrets."""
    steps, resources = open_bundle(bundle.data)
    holders = [*resources.values()]
    holders += [binding.handler for step in steps.values() for binding in step.bindings()]
    return any(secrets_of(holder) for holder in holders)
