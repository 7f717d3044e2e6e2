"""Check of recorded materializations: the value is readable, and its version is that of the event."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from rivers.execution import step as step_module
from rivers.execution.loaded_versions import stored_version
from rivers.execution.outputs import Storing, store_plain
from rivers.execution.verification import verifying_context

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from rivers.execution.run import Run
    from rivers.graph.plan import StoredOutput
    from rivers.storage import Event
    from rivers_core.partitions import PartitionKey

MAX_CHECKS = 25
"""Materializations that are verified per test; a test with thousands of steps would only repeat itself."""


class EventCheck:
    """Verifies each materialization in a local folder directly after it was recorded.

    Attributes:
        count: Number of verified materializations.
        findings: One message per event that does not tell the truth.
    """

    def __init__(self) -> None:
        self.count = 0
        self.findings: list[str] = []
        self._thread = threading.get_ident()

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Verify events of runs in this thread until the test ends.

        Args:
            monkeypatch: Restores the engine.
        """
        store = Storing._stored

        def stored_and_checked(storing, output, context, result, keys) -> None:
            store(storing, output, context, result, keys)
            # another thread may replace the value before it is read here
            if threading.get_ident() == self._thread and self.count < MAX_CHECKS:
                self._check(storing.run, output, keys)

        def stored_plain_and_checked(output, value, step, run, versions, started_ns):
            unfinished = store_plain(output, value, step, run, versions, started_ns)
            if unfinished is None and threading.get_ident() == self._thread and self.count < MAX_CHECKS:
                self._check(run, output, None)
            return unfinished

        monkeypatch.setattr(Storing, "_stored", stored_and_checked)
        monkeypatch.setattr(step_module, "store_plain", stored_plain_and_checked)

    def _check(self, run: Run, output: StoredOutput, keys: Sequence[PartitionKey] | None) -> None:
        root = output.handler.store_root()
        if root is None or root.store != "file":
            return
        for key in keys or (None,):
            event = run.latest[output.name, None if key is None else str(key)]
            self.count += 1
            finding = difference(output, key, event)
            if finding is not None:
                self.findings.append(f"{output.name!r}, key {key}, {output.handler!r}: {finding}")


def difference(output: StoredOutput, key: PartitionKey | None, event: Event) -> str | None:
    """Return how a stored value differs from its event; None if it does not, or if its handler has no versions.

    Args:
        output: The stored output.
        key: Its partition key, if it has one.
        event: Its materialization.
    """
    context = verifying_context(output, key)
    try:
        version = output.handler.stored_version(context)
        verify = getattr(output.handler, "verify", None)
        if verify is not None:
            verify(context)
    except Exception as error:
        return f"the value cannot be read: {type(error).__name__}: {error}"
    expected = stored_version(event)
    return None if version in (None, expected) else f"version {version!r}, but the event has {expected!r}"
