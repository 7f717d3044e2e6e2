"""Paths of objects in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rivers_core import InputContext, OutputContext

# Storage keys encode a dot at the start of a name, so that no asset has this folder.
_VERSIONS: Final = ".versions"


def object_path(prefix: str, context: OutputContext | InputContext, suffix: str) -> str:
    """Return the path of an object in its store.

    With the suffix `.pkl` it is `<prefix>/<asset>.pkl`, for a partition `<prefix>/<asset>/<partition>/data.pkl`. The
    folder of a partitioned asset never has the name of a file: `a.pkl` becomes `a%2Epkl`, which is unique, since
    storage keys encode a dot only at the edge of a name.

    Args:
        prefix: A normalized prefix, possibly empty.
        context: Context of the asset.
        suffix: Suffix of all objects of the handler, with its dot.

    Raises:
        PartitionValidationError: The context carries several partition keys.
    """
    key = context.storage_key
    if context.partition is None:
        return _joined(prefix, key + suffix)
    _, _, partition = key.partition("/")
    return f"{asset_folder(prefix, context, suffix)}/{partition}/data{suffix}"


def asset_folder(prefix: str, context: OutputContext | InputContext, suffix: str) -> str:
    """Return the folder that holds the partitions of an asset.

    Args:
        prefix: A normalized prefix, possibly empty.
        context: Context of the asset.
        suffix: Suffix of all objects of the handler, with its dot.
    """
    asset = context.asset_storage_key
    if asset.endswith(suffix):
        asset = f"{asset.removesuffix(suffix)}%2E{suffix[1:]}"
    return _joined(prefix, asset)


def versions_folder(prefix: str, path: str = "") -> str:
    """Return the folder that holds the earlier versions of an object.

    Args:
        prefix: A normalized prefix, possibly empty.
        path: Path of the object; empty for the folder of all objects.
    """
    folder = _joined(prefix, _VERSIONS)
    return f"{folder}/{path.removeprefix(prefix).lstrip('/')}" if path else folder


def normalize_prefix(prefix: str) -> str:
    """Return a prefix without slashes at its ends.

    Args:
        prefix: Prefix of the settings.

    Raises:
        ValueError: It would lead out of the store.
    """
    parts = [part for part in prefix.split("/") if part]
    if any(part in (".", "..") for part in parts):
        raise ValueError(
            f"prefix {prefix!r} must be a plain path below the store, without '.' and '..'; "
            "to store somewhere else, change `store`."
        )
    return "/".join(parts)


def _joined(prefix: str, name: str) -> str:
    return f"{prefix}/{name}" if prefix else name
