"""Digests of data files, recorded in the log so that changed bytes of equal length can be detected."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import TYPE_CHECKING

from arro3.core import RecordBatchReader

from rivers_delta.compat import write_deltalake
from rivers_delta.log.partition_markers import DIGESTS
from rivers_delta.read.data_files import DataFiles
from rivers_delta.write.commit import commit_info, commit_properties

if TYPE_CHECKING:
    from rivers_core import OutputContext
    from rivers_delta.config.table_settings import TableSettings
    from rivers_delta.log.table import Table


def record_digests(settings: TableSettings, context: OutputContext, table: Table) -> None:
    """Record digests of the data files of the latest commit, in a commit that writes nothing.

    deltalake writes files and commit in one call, so that digests cannot be part of that commit. A process that is
    killed in between leaves files without a digest.

    Args:
        settings: The table.
        context: Asset, partition and run.
        table: The table at the version of the commit.
    """
    system, digests = table.file_system(), {}
    for action in table.read_commit():
        if "add" in action:
            path = DataFiles.path_of(action["add"]["path"])
            with system.open_input_file(path) as file:
                digests[path] = digest(file.read())
    if digests:
        info = {**commit_info(context), DIGESTS: json.dumps(digests)}
        nothing = RecordBatchReader.from_batches(table.schema().to_arrow(), [])
        properties = commit_properties(settings, info)
        write_deltalake(table, nothing, mode="append", commit_properties=properties)


def digest(data: bytes) -> str:
    """Return the digest of a file."""
    return blake2b(data, digest_size=32).hexdigest()


def recorded_digests(table: Table) -> dict[str, str]:
    """Return path to digest, as far as the log reaches back."""
    digests: dict[str, str] = {}
    for version in range(table.version(), -1, -1):
        try:
            commit = table.read_commit(version)
        except FileNotFoundError:
            break
        for info in (action["commitInfo"] for action in commit if "commitInfo" in action):
            digests = json.loads(info.get(DIGESTS, "{}")) | digests
    return digests
