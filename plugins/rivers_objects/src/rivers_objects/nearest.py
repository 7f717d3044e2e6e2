"""Search for the stored object that is most similar to a missing one."""

from __future__ import annotations

import difflib
from heapq import nlargest
from os.path import commonprefix
from typing import TYPE_CHECKING, Final

from rivers_objects.layout import asset_folder, versions_folder

if TYPE_CHECKING:
    from rivers_core import InputContext
    from rivers_objects.bucket import Bucket
    from rivers_objects.folder import Folder

_PAGE: Final = 1000


def nearest_object(
    objects: Bucket | Folder, prefix: str, context: InputContext, path: str, suffix: str
) -> str | None:
    """Return the most similar stored object: a partition of the asset, else an asset with a similar name.

    Args:
        objects: All stored objects.
        prefix: Prefix of the handler.
        context: Context of the missing asset.
        path: Path of the missing object.
        suffix: Suffix of all objects of the handler, with its dot.
    """
    folder = asset_folder(prefix, context, suffix)
    paths = objects.paths(folder)
    if len(paths) == _PAGE:  # the first page may be far from the path; stores can list from an offset
        paths += objects.paths(folder, offset=path.removesuffix(f"/data{suffix}")[:-1])
    if paths:
        return _most_similar(path, paths, folder, suffix, cutoff=0.0)
    versions = versions_folder(prefix)
    current = [candidate for candidate in objects.paths(prefix) if not candidate.startswith(f"{versions}/")]
    return _most_similar(path, current, prefix, suffix, cutoff=0.6)


def _most_similar(path: str, paths: list[str], folder: str, suffix: str, cutoff: float) -> str | None:
    def name(path: str) -> str:
        return path[len(folder) :].removesuffix(f"/data{suffix}").removesuffix(suffix)

    names = {name(candidate): candidate for candidate in paths}
    likely = nlargest(_PAGE, names, key=lambda candidate: len(commonprefix((name(path), candidate))))  # noqa: RUF071
    close = difflib.get_close_matches(name(path), likely, n=1, cutoff=cutoff)
    return repr(names[close[0]]) if close else None
