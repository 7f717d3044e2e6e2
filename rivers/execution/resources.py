"""Resources of functions, set up once per process and torn down in reverse order."""

from __future__ import annotations

import logging
from functools import partial
from threading import RLock
from typing import TYPE_CHECKING, Any

from rivers.definitions.error_text import error_text
from rivers.definitions.resource import Resource
from rivers.exceptions import ConfigurationError
from rivers.execution.redaction import redact_error
from rivers_core.authoring import resolve_awaitable
from rivers_core.redaction import redact, secret_spellings, secrets_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOG = logging.getLogger("rivers.resources")


class OpenResources:
    """Resources that are set up in the order given and torn down in reverse."""

    def __init__(self) -> None:
        self._open: list[tuple[str, Resource]] = []
        self._names: set[str] = set()
        self._lock = RLock()

    def set_up(self, resources: Mapping[str, Any]) -> None:
        """Set up resources that are not set up yet; the caller closes those that were set up before an error.

        Args:
            resources: Resources by name; values that are not a `Resource` are left alone.

        Raises:
            ConfigurationError: A set-up failed.
        """
        with self._lock:
            for name, resource in resources.items():
                if isinstance(resource, Resource) and name not in self._names:
                    self._set_up(name, resource)

    def _set_up(self, name: str, resource: Resource) -> None:
        self._open.append((name, resource))
        try:
            resolve_awaitable(resource.setup())
        except Exception as error:
            self._open.pop()
            secrets = secret_spellings(secrets_of(resource))
            message = redact(error_text(error), secrets)
            raise ConfigurationError(
                f"Could not set up resource {name!r} ({type(resource).__name__}): {message}"
            ) from redact_error(error, partial(redact, secrets=secrets))
        self._names.add(name)

    def close(self) -> None:
        """Tear down all; a failure is logged and does not keep the others from being torn down."""
        while self._open:
            name, resource = self._open[-1]
            try:
                resolve_awaitable(resource.teardown())
            except Exception:
                _LOG.exception("Could not tear down resource %r", name)
            self._open.pop()
            self._names.discard(name)
