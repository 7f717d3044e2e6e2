"""What is stored, for questions about many partition keys at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers.execution.run import Run
    from rivers.storage import Event
    from rivers_core.partitions import PartitionKey, PartitionsDefinition


class History:
    """Answers what a run would, but asks the storage once for each asset and definition.

    What the run itself stores meanwhile is seen; what others store is not, so keep it no longer than a step.

    Args:
        run: The run.
    """

    __slots__ = ("_before", "_keys", "_run")

    def __init__(self, run: Run) -> None:
        self._run = run
        self._before: dict[str, dict[str | None, Event]] = {}
        self._keys: dict[PartitionsDefinition | None, Sequence[PartitionKey]] = {}

    def stored(self, asset_name: str, key: str | None) -> Event | None:
        """The event that stored a value, as `Run.stored`."""
        event = self._run.latest.get((asset_name, key))
        if event is not None:
            return event
        before = self._before.get(asset_name)
        if before is None:
            before = self._before[asset_name] = self._run.storage.get_latest_materializations(asset_name)
        return before.get(key)

    def all_keys(self, definition: PartitionsDefinition | None) -> Sequence[PartitionKey]:
        """Every key that a definition has, as `Run.all_keys`."""
        if definition not in self._keys:
            self._keys[definition] = self._run.all_keys(definition)
        return self._keys[definition]
