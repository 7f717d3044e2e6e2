"""Notes about the inputs of a step, recorded as metadata of its outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rivers_core.metadata import MetadataValue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rivers_core.contexts import InputContext

    ByAsset = dict[str, dict[str | None, str]]

SERVED_BY: Final = "rivers/served_by"
UNRECORDED_INPUTS: Final = "rivers/unrecorded_inputs"

_FEW_KEYS: Final = 8


class InputNotes:
    """Reports of handlers about the inputs of one step: the places that served them, versions without an event."""

    __slots__ = ("_served", "_unrecorded")

    def __init__(self) -> None:
        self._served: ByAsset = {}
        self._unrecorded: ByAsset = {}

    def note_served(self, context: InputContext) -> None:
        """Remember the place that an input came from, as reported by its handler."""
        assert context.served_by is not None
        partition = context.partition
        keys = None if partition is None else ", ".join(map(str, partition.keys))
        self._served.setdefault(context.asset_name, {})[keys] = context.served_by

    def note_unrecorded(self, asset_name: str, key: str | None, version: str) -> None:
        """Remember a loaded version that no event records."""
        self._unrecorded.setdefault(asset_name, {})[key] = version

    def metadata(self) -> dict[str, MetadataValue]:
        """Return the notes as metadata.

        `rivers/served_by` is one place per asset if all its partitions came from there; else the partitions by place,
        or their number if there are too many to list. `rivers/unrecorded_inputs` is one version per asset, or
        versions by partition key.
        """
        metadata: dict[str, MetadataValue] = {}
        if self._served:
            places = {name: _by_place(of_keys) for name, of_keys in self._served.items()}
            metadata[SERVED_BY] = MetadataValue.json(places)
        if self._unrecorded:
            versions = {name: _by_key(of_keys) for name, of_keys in self._unrecorded.items()}
            metadata[UNRECORDED_INPUTS] = MetadataValue.json(versions)
        return metadata


def _by_place(served: Mapping[str | None, str]) -> str | dict[str, list[str] | int]:
    places: dict[str, list[str]] = {}
    for keys, place in served.items():
        places.setdefault(place, []).append(str(keys))
    if len(places) == 1:
        return next(iter(places))
    return {place: keys if len(keys) <= _FEW_KEYS else len(keys) for place, keys in sorted(places.items())}


def _by_key(versions: Mapping[str | None, str]) -> str | dict[str, str]:
    return versions[None] if None in versions else {str(key): version for key, version in versions.items()}
