"""Run store: the object store through which coordinator and pods exchange requests and reports.

Everything in it is signed with a key that only the coordinator and the pods of one run have: a request and a report
are pickled, so that a user who can change one can run code.
"""

from __future__ import annotations

import hmac
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rivers.exceptions import ConfigurationError, IntegrityError
from rivers_core.authoring import redact, resolve_location

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_DIGEST: Final = 32
_ROOT: Final = "rivers-runs"


def checked_url(value: object, *, shared_filesystem: bool) -> str:
    """Return an absolute URL of a run store.

    Args:
        value: URL or path.
        shared_filesystem: Whether the pods see the files of this machine.

    Raises:
        ConfigurationError: It is not a URL, contains credentials, or cannot be reached from a pod.
    """
    if not isinstance(value, (str, Path)) or not str(value):
        raise ConfigurationError(f"run_store must be a URL such as s3://bucket/runs, got {value!r}.")
    url = str(resolve_location(str(value), Path.cwd()))
    if "://" not in url and not url.startswith(("file:", "memory:")):
        url = Path(url).as_uri()
    if url.startswith("memory:"):
        raise ConfigurationError(
            f"run_store={url!r} exists only in this process. Use a bucket that the pods reach, such as s3://bucket/runs."
        )
    if redact(url) != url:
        raise ConfigurationError(
            f"run_store={redact(url)!r} contains credentials, which would be part of every Job. Use environment "
            "variables here, and a Secret or a workload identity in pod_template."
        )
    if url.startswith("file:") and not shared_filesystem:
        raise ConfigurationError(
            f"run_store={url!r} is a folder of this machine. Use a bucket, or shared_filesystem=True if pod_template "
            "mounts the folder under the same path."
        )
    return url


class RunStore:
    """Signed objects below a URL.

    Args:
        url: Result of `checked_url`.
        key: Key of the signatures.
    """

    def __init__(self, url: str, key: bytes) -> None:
        self._url = url
        self._key = key

    @cached_property
    def _store(self) -> ObjectStore:
        from obstore.store import LocalStore, from_url

        return (
            LocalStore.from_url(self._url, mkdir=True)
            if self._url.startswith("file:")
            else from_url(self._url)
        )

    def put(self, path: str, content: bytes) -> None:
        """Store an object atomically."""
        self._store.put(path, self._signature(path, content) + content)

    def get(self, path: str) -> bytes | None:
        """Return the content of an object, or None if it does not exist.

        Raises:
            IntegrityError: It was changed, or not written by a process of this run.
        """
        try:
            data = bytes(self._store.get(path).bytes())
        except FileNotFoundError:
            return None
        signature, content = data[:_DIGEST], data[_DIGEST:]
        if not hmac.compare_digest(signature, self._signature(path, content)):
            raise IntegrityError(
                f"Object {path!r} in the run store {self._url!r} does not have the signature of this run. Nothing of "
                "it was loaded. Check who can write to the store."
            )
        return content

    def claim(self, path: str) -> bool:
        """Create an empty object; return False if it exists, so that of several callers only one gets True."""
        from obstore.exceptions import AlreadyExistsError

        try:
            self._store.put(path, b"", mode="create")
        except AlreadyExistsError:
            return False
        return True

    def paths(self, prefix: str) -> list[str]:
        """Return the paths of all objects below a prefix, oldest first."""
        objects = [item for batch in self._store.list(prefix) for item in batch]
        return [item["path"] for item in sorted(objects, key=lambda item: item["last_modified"])]

    def delete_all(self, prefix: str) -> None:
        """Delete all objects below a prefix."""
        paths = self.paths(prefix)
        if paths:
            self._store.delete(paths)

    def _signature(self, path: str, content: bytes) -> bytes:
        digest = blake2b(path.encode() + b"\0", digest_size=_DIGEST, key=self._key, person=b"rivers-run")
        digest.update(content)
        return digest.digest()


def run_folder(run_name: str) -> str:
    """Return the path in the store below which the objects of a run lie."""
    return f"{_ROOT}/{run_name}"
