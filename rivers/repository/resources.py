"""Resources from their set-up to their teardown."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from rivers.definitions.error_text import error_text
from rivers_core.authoring import redact, resolve_awaitable, secrets_of
from rivers_core.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOG = logging.getLogger("rivers.resources")


class OpenResources:
    """The resources of a repository, set up in the order they were given and torn down in reverse.

    Args:
        resources: By the name that function parameters use; anything without `setup` or `teardown` is left as it is.

    Raises:
        ConfigurationError: A set-up failed; those before it were torn down again.
    """

    def __init__(self, resources: Mapping[str, Any]) -> None:
        self._open: list[tuple[str, Any]] = []
        for name, resource in resources.items():
            setup = getattr(resource, "setup", None)
            try:
                if callable(setup):
                    resolve_awaitable(setup())
            except Exception as error:
                self.close()
                said = redact(error_text(error), secrets_of(resource))
                raise ConfigurationError(
                    f"resource {name!r} ({type(resource).__name__}) could not be set up: {said}"
                ) from error
            self._open.append((name, resource))

    def close(self) -> None:
        """Tear down what was set up; a failure is logged and the rest is torn down all the same."""
        while self._open:
            name, resource = self._open.pop()
            teardown = getattr(resource, "teardown", None)
            try:
                if callable(teardown):
                    resolve_awaitable(teardown())
            except Exception:
                _LOG.exception("resource %r could not be torn down", name)
