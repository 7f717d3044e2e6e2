"""Flush what a call added to a local table to the disk before the call returns.

deltalake (up to 1.6) flushes nothing: after a power cut the log may name data files that are empty or absent.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from rivers_objects.flush import flush_file, flush_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENTRY: Final = re.compile(r"(\d{20})\.")
_POINTER: Final = "_last_checkpoint"
_flushed: Final[dict[str, int]] = {}
"""By table: the version up to which this process has flushed the log."""


@contextmanager
def flushed(address: str) -> Iterator[None]:
    """Flush data files, log and folders that a block adds to a table, if the block succeeds.

    Log entries of other writers are flushed too: a version can be opened only if all entries before it exist. Their
    data files are not.

    Args:
        address: Path of the table, which may be created or deleted.
    """
    before = max(_entries(address), default=-1)
    yield
    entries = _entries(address)
    latest = max(entries, default=-1)
    known = min(_flushed.get(address, -1), before)
    folders = {address, os.path.join(address, "_delta_log"), os.path.dirname(address)}
    for version in sorted(entries):
        for name in entries[version]:
            if version <= known:
                continue
            path = os.path.join(address, "_delta_log", name)
            if version > before and name.endswith(".json"):
                folders |= _flush_data(address, path)
            flush_file(path)
    flush_file(os.path.join(address, "_delta_log", _POINTER))
    for folder in sorted(folders, key=len, reverse=True):
        flush_folder(folder)
    flush_folder(os.path.dirname(os.path.dirname(address)))
    _flushed[address] = latest


def _entries(address: str) -> dict[int, list[str]]:
    """Return the files of the log by version: commits and checkpoints."""
    try:
        names = os.listdir(os.path.join(address, "_delta_log"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    entries: dict[int, list[str]] = {}
    for name in names:
        match = _ENTRY.match(name)
        if match is not None:
            entries.setdefault(int(match[1]), []).append(name)
    return entries


def _flush_data(address: str, entry: str) -> set[str]:
    """Flush the data files that a commit added, and return their folders."""
    folders: set[str] = set()
    try:
        with open(entry, encoding="utf-8") as file:
            actions = [json.loads(line) for line in file if line.strip()]
    except FileNotFoundError:
        return folders  # expired meanwhile
    for action in actions:
        for added in (action.get("add"), action.get("cdc")):
            if added is None:
                continue
            path = os.path.join(address, *unquote(added["path"]).split("/"))
            flush_file(path)
            folder = os.path.dirname(path)
            while len(folder) > len(address):
                folders.add(folder)
                folder = os.path.dirname(folder)
    return folders
