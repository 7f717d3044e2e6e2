"""`rivers versions`: list the stored versions of a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from rivers_cli.humanize import format_size
from rivers_cli.options import AsJson, Asset, Partition
from rivers_cli.output import Column, print_document, print_table, project_output_to_stderr

if TYPE_CHECKING:
    from typing import Any

    from rivers_core.handler import StoredVersion


def versions(
    context: typer.Context, asset: Asset, partition: Partition = None, as_json: AsJson = False
) -> None:
    """List the versions of a stored value that can be loaded and restored, the current one first.

    Exit codes: 0, 1 the handler keeps no versions, 2 the asset or partition does not exist.

    Examples:
      $ rivers versions orders
      $ rivers versions orders --partition 2024-01-01
    """
    with project_output_to_stderr(as_json):
        stored = context.obj.project.inspect().versions(asset, partition_key=partition)
    if as_json:
        print_document([version_document(version) for version in stored])
        return
    if not stored:
        print(f"{asset}: nothing is stored.")
        return
    print_table(VERSION_COLUMNS, [version_row(version) for version in stored])


VERSION_COLUMNS = [Column("Version", wraps=True), Column("Stored"), Column("Size", right=True), Column("")]


def version_row(version: StoredVersion) -> tuple[str, str, str, str]:
    """Return a version as a row: version, time, size, whether it is the current one."""
    stored_at = (
        "" if version.stored_at is None else version.stored_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    )
    size = "" if version.size_bytes is None else format_size(version.size_bytes)
    return version.version, stored_at, size, "current" if version.is_current else ""


def version_document(version: StoredVersion) -> dict[str, Any]:
    """Return a version as a JSON document."""
    return {
        "version": version.version,
        "stored_at": None if version.stored_at is None else version.stored_at.isoformat(),
        "bytes": version.size_bytes,
        "current": version.is_current,
    }
