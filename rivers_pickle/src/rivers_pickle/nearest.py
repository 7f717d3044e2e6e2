"""Search for the stored object that is most similar to a missing one."""

from __future__ import annotations

import difflib
from heapq import nlargest
from os.path import commonprefix
from typing import TYPE_CHECKING, Final

from rivers_pickle.layout import asset_folder
from rivers_pickle.stores import is_local

if TYPE_CHECKING:
    from obstore.store import ObjectStore

    from rivers_core import InputContext

_PAGE: Final = 1000


def nearest_object(store: ObjectStore, prefix: str, context: InputContext, path: str) -> str | None:
    """Return the most similar stored object: a partition of the asset, else an asset with a similar name.

    Args:
        store: The store.
        prefix: Prefix of the handler.
        context: Context of the missing asset.
        path: Path of the missing object.
    """
    folder = asset_folder(prefix, context)
    paths = _first_page(store, folder)
    if len(paths) == _PAGE:  # the first page may be far from the path; stores can list from an offset
        paths += _first_page(store, folder, offset=path.removesuffix("/data.pkl")[:-1])
    if paths:
        return _most_similar(path, paths, folder, cutoff=0.0)
    return _most_similar(path, _first_page(store, prefix), prefix, cutoff=0.6)


def _most_similar(path: str, paths: list[str], folder: str, cutoff: float) -> str | None:
    def name(path: str) -> str:
        return path[len(folder) :].removesuffix("/data.pkl").removesuffix(".pkl")

    names = {name(candidate): candidate for candidate in paths}
    likely = nlargest(_PAGE, names, key=lambda candidate: len(commonprefix((name(path), candidate))))  # noqa: RUF071
    close = difflib.get_close_matches(name(path), likely, n=1, cutoff=cutoff)
    return repr(names[close[0]]) if close else None


def _first_page(store: ObjectStore, folder: str, offset: str | None = None) -> list[str]:
    import obstore

    # a local folder is listed in arbitrary order, so a larger page is needed
    size = _PAGE * 10 if is_local(store) else _PAGE
    page = next(iter(obstore.list(store, folder or None, offset=offset, chunk_size=size)), [])
    return [entry["path"] for entry in page]
