"""`rivers handlers`: list handlers, show the settings of one, maintain and verify what it stores."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rivers.inspection.errors import findings_of
from rivers.inspection.handlers import (
    HandlerUsage,
    find_handler,
    format_setting,
    handler_names,
    handler_settings,
)
from rivers_cli.commands.versions import VERSION_COLUMNS, version_document, version_row
from rivers_cli.errors import ExitError, UsageError
from rivers_cli.humanize import format_size
from rivers_cli.lazy_group import Command, Group
from rivers_cli.options import AsJson, Assets, HandlerName
from rivers_cli.output import Column, print_document, print_error, print_table, project_output_to_stderr
from rivers_cli.parsing import parse_pair, parse_value
from rivers_core.authoring import counted
from rivers_core.exceptions import RiversError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from rivers.graph.plan import StoredOutput
    from rivers.inspection import Project
    from rivers_core.contexts import InputContext
    from rivers_core.handler import BaseIOHandler, StoredVersion

app = typer.Typer(cls=Group, rich_markup_mode=None, add_completion=False, invoke_without_command=True)


@app.callback()
def handlers(context: typer.Context, as_json: AsJson = False) -> None:
    """List the handlers that assets of this project can use.

    Configured handlers come first, then those of the code, then installed ones.

    Examples:
      $ rivers handlers
      $ rivers handlers show lake --env prod
    """
    if context.invoked_subcommand is not None:
        return
    project = context.obj.project
    with project_output_to_stderr(as_json):
        usage = HandlerUsage.of_project(project)
        entries = [_describe(project, usage, name) for name in handler_names(project, usage)]
    if as_json:
        print_document([entry.document() for entry in entries])
        return
    columns = [
        Column("Name"), Column("Class", optional=1), Column("Source", wraps=True), Column("Assets", right=True),
        Column("Description", wraps=True),
    ]  # fmt: skip
    print_table(columns, [entry.row() for entry in entries])
    if usage.problem:
        print_error(f"\nThe assets of each handler are unknown: {usage.problem}")


@app.command(cls=Command)
def show(context: typer.Context, name: HandlerName, as_json: AsJson = False) -> None:
    """Show every setting of a handler and its origin.

    An origin is default, file, environment, .env or code. Secrets are redacted.

    Examples:
      $ rivers handlers show lake
      $ rivers handlers show lake --env prod --json
    """
    with project_output_to_stderr(as_json):
        usage = HandlerUsage.of_project(context.obj.project)
        handler_class, fields = handler_settings(context.obj.project, usage, name)
    users = [
        (output.name, output.binding.reason)
        for output in usage.outputs_of(name)
        if output.binding is not None
    ]
    if as_json:
        print_document(
            {
                "name": name,
                "class": f"{handler_class.__module__}.{handler_class.__qualname__}",
                "fields": [
                    {"field": item.field, "value": format_setting(item.value), "origin": item.origin}
                    for item in fields
                ],
                "assets": [{"asset": asset, "reason": reason} for asset, reason in users],
            }
        )
        return
    print(f"{name}: {handler_class.__name__} ({handler_class.__module__})\n")
    columns = [Column("Setting"), Column("Value", wraps=True), Column("Origin")]
    print_table(columns, [(item.field, format_setting(item.value), item.origin) for item in fields])
    print()
    if users:
        print_table([Column("Asset"), Column("Rule", wraps=True)], users)
    elif usage.problem:
        print(f"The assets that use it are unknown: {usage.problem}")
    else:
        print("No asset uses it.")


@app.command(cls=Command)
def maintain(
    context: typer.Context,
    name: HandlerName,
    assets: Assets = None,
    run: Annotated[
        bool, typer.Option("--run", help="Apply the plan; by default it is only printed.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="OPTION=VALUE", help="Option of the handler's maintenance. Repeatable."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Maintain what a handler stores: compact small files, remove obsolete ones.

    By default only the plan is printed; --run applies it. The documentation of the handler lists its options.

    Exit codes: 0, 1 maintenance failed, 2 the handler does not exist or does not support maintenance.

    Examples:
      $ rivers handlers maintain lake
      $ rivers handlers maintain lake orders --run
      $ rivers handlers maintain lake --set retention_hours=48
    """
    with project_output_to_stderr(as_json):
        actions = maintain_handler(context.obj.project, name, assets or (), settings or (), dry_run=not run)
    if as_json:
        print_document({"handler": name, "dry_run": not run, "actions": actions})
        return
    if not actions:
        print(f"{name}: nothing to do.")
        return
    titles = list(dict.fromkeys(key for action in actions for key in action))
    columns = [Column(title.replace("_", " ").capitalize(), wraps=title == titles[0]) for title in titles]
    rows = [tuple(_format_cell(title, action.get(title)) for title in titles) for action in actions]
    print_table(columns, rows)
    if not run:
        print("\nDry run, nothing was changed. Use --run to apply.")


@app.command(cls=Command)
def verify(context: typer.Context, name: HandlerName, assets: Assets = None, as_json: AsJson = False) -> None:
    """Read everything that a handler stores, and report what is damaged.

    Digests, sizes and counts are compared where the handler records them. Partitions are those of the event log.

    Exit codes: 0 all values are intact, 1 a value is damaged or cannot be read, 2 the handler does not exist.

    Examples:
      $ rivers handlers verify lake
      $ rivers handlers verify lake orders
    """
    with project_output_to_stderr(as_json):
        results = verify_handler(context.obj.project, name, assets or ())
    failures = sum(result.problem is not None for result in results)
    if as_json:
        print_document({"handler": name, "values": [result.document() for result in results]})
    else:
        if results:
            columns = [Column("Asset"), Column("Partition"), Column("Result", wraps=True)]
            print_table(columns, [result.row() for result in results])
        print(f"{name}: {counted(len(results), 'value')} verified, {failures} failed.")
    if failures:
        raise ExitError


@app.command(cls=Command)
def orphans(
    context: typer.Context,
    name: HandlerName,
    run: Annotated[bool, typer.Option("--run", help="Delete them; by default they are only listed.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the values whose asset no longer exists: it was removed, or renamed.

    The event log records which values the handler stored. Options of a removed asset, such as another name for its
    table, are unknown. By default the values are only listed; --run deletes them.

    Exit codes: 0, 1 a value could not be deleted, 2 the handler does not exist or does not support deletion.

    Examples:
      $ rivers handlers orphans lake
      $ rivers handlers orphans lake --run
    """
    from rivers.repository.deleting import delete_values, find_orphans

    project = context.obj.project
    with project_output_to_stderr(as_json):
        repository = project.open()
        handler = find_handler(project, HandlerUsage.of_repository(repository), name)
        if run and not handler.can_delete:
            raise UsageError(f"{name}: {type(handler).__name__} does not support deletion.")
        values = find_orphans(repository.graph, repository.storage, name, handler)
        if run:
            delete_values(values, repository.storage)
    rows = [(value.asset, partition) for value in values for partition in value.partitions]
    if as_json:
        items = [{"asset": asset, "partition": partition} for asset, partition in rows]
        print_document({"handler": name, "dry_run": not run, "values": items})
        return
    if not rows:
        print(f"{name}: no orphans.")
        return
    print_table(
        [Column("Asset"), Column("Partition")], [(asset, partition or "") for asset, partition in rows]
    )
    amount = counted(len(rows), "value")
    print(f"\nDeleted {amount}." if run else f"\nDry run, nothing was changed. Use --run to delete {amount}.")


@app.command(cls=Command)
def prune(
    context: typer.Context,
    name: HandlerName,
    assets: Assets = None,
    keep: Annotated[
        int | None,
        typer.Option("--keep", min=0, metavar="COUNT", help="Earlier versions of a value that stay."),
    ] = None,
    older_than: Annotated[
        float | None,
        typer.Option("--older-than", min=0, metavar="DAYS", help="Remove only versions older than this."),
    ] = None,
    run: Annotated[
        bool, typer.Option("--run", help="Apply the plan; by default it is only printed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Remove earlier versions of stored values, by count and age. Current values stay.

    With both limits, a version is removed if it exceeds both. By default only the plan is printed; --run applies it.

    Exit codes: 0, 1 the store failed, 2 the handler does not exist or does not keep versions.

    Examples:
      $ rivers handlers prune lake --keep 10
      $ rivers handlers prune lake orders --older-than 30 --run
    """
    if keep is None and older_than is None:
        raise UsageError("rivers handlers prune requires --keep or --older-than.")
    age = None if older_than is None else timedelta(days=older_than)
    with project_output_to_stderr(as_json):
        removed = prune_versions(context.obj.project, name, assets or (), keep, age, dry_run=not run)
    if as_json:
        print_document(
            {"handler": name, "dry_run": not run, "versions": [item.document() for item in removed]}
        )
        return
    if not removed:
        print(f"{name}: nothing to remove.")
        return
    print_table(
        [Column("Asset"), Column("Partition"), *VERSION_COLUMNS[:3]], [item.row() for item in removed]
    )
    if not run:
        print("\nDry run, nothing was changed. Use --run to apply.")


@app.command(cls=Command)
def resign(
    context: typer.Context,
    name: HandlerName,
    accept_unsigned: Annotated[
        bool,
        typer.Option(
            "--accept-unsigned", help="Sign objects without a signature, too: trust what is stored."
        ),
    ] = False,
    run: Annotated[
        bool, typer.Option("--run", help="Apply the plan; by default it is only printed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Sign everything that a handler stores with its first signing key, after a key was replaced.

    Objects that no key of the handler signed are refused. By default only the plan is printed; --run applies it.

    Exit codes: 0, 1 an object was refused or the store failed, 2 the handler does not exist.

    Examples:
      $ rivers handlers resign scratch
      $ rivers handlers resign scratch --run
    """
    with project_output_to_stderr(as_json):
        project = context.obj.project
        handler = find_handler(project, HandlerUsage.of_project(project), name).storing_handler()
        counts = handler.resign(accept_unsigned=accept_unsigned, dry_run=not run)
    if as_json:
        print_document({"handler": name, "dry_run": not run, **counts})
    else:
        print(f"{name}: " + ", ".join(f"{count} {what}" for what, count in counts.items()) + ".")
        if not run:
            print("\nDry run, nothing was changed. Use --run to apply.")
    if counts.get("refused"):
        raise ExitError


@dataclass(frozen=True, slots=True)
class PrunedVersion:
    """An earlier version that was (or would be) removed.

    Attributes:
        asset: The asset.
        partition: Its partition key, or None.
        version: The version.
    """

    asset: str
    partition: str | None
    version: StoredVersion

    def row(self) -> tuple[str, ...]:
        """Return the version as a row: asset, partition, version, time, size."""
        return self.asset, self.partition or "", *version_row(self.version)[:3]

    def document(self) -> dict[str, Any]:
        """Return the version as a JSON document."""
        return {"asset": self.asset, "partition": self.partition, **version_document(self.version)}


@dataclass(frozen=True, slots=True)
class Verification:
    """Result of verifying one value.

    Attributes:
        asset: The asset.
        partition: Its partition key, or None.
        counts: What the handler counted.
        problem: What is wrong with the value; None if it is intact.
    """

    asset: str
    partition: str | None
    counts: dict[str, int]
    problem: str | None = None

    def row(self) -> tuple[str, str, str]:
        """Return the result as a row: asset, partition, result."""
        counts = ", ".join(counted(count, name.removesuffix("s")) for name, count in self.counts.items())
        return self.asset, self.partition or "", self.problem or f"ok ({counts})".removesuffix(" ()")

    def document(self) -> dict[str, Any]:
        """Return the result as a JSON document."""
        return {
            "asset": self.asset,
            "partition": self.partition,
            "ok": self.problem is None,
            "problem": self.problem,
            **self.counts,
        }


@dataclass(frozen=True, slots=True)
class HandlerEntry:
    """One handler of the list.

    Attributes:
        name: Name that assets use.
        class_name: Its class; empty if its configuration is not valid.
        source: Origin: the configuration file, the code, an installed distribution.
        assets: Assets that it stores; None if unknown.
        description: Summary of the plugin, or why the handler is broken.
    """

    name: str
    class_name: str
    source: str
    assets: list[str] | None
    description: str

    def row(self) -> tuple[str, ...]:
        """Return the handler as a row: name, class, source, number of assets, description."""
        count = "" if self.assets is None else str(len(self.assets))
        return self.name, self.class_name, self.source, count, self.description

    def document(self) -> dict[str, Any]:
        """Return the handler as a JSON document."""
        return {
            "name": self.name,
            "use": self.class_name,
            "source": self.source,
            "assets": self.assets,
            "about": self.description,
        }


def _describe(project: Project, usage: HandlerUsage, name: str) -> HandlerEntry:
    from rivers_core.plugins import get_registry

    config, outputs = project.config, usage.outputs_of(name)
    assets = None if usage.problem else [output.name for output in outputs]
    installed = [item for item in get_registry().handlers() if item.spec.name == name]
    summary = installed[0].spec.summary if installed else ""
    if config is not None and config.has_handler(name) and name in config.handler_names:
        source = "code" if config.path is None else config.path.name
        try:
            return HandlerEntry(name, type(config.handler(name)).__name__, source, assets, summary)
        except RiversError as error:
            return HandlerEntry(name, "", source, assets, f"broken: {'; '.join(findings_of(error))}")
    for output in outputs:
        if output.binding is not None:
            return HandlerEntry(name, type(output.handler).__name__, output.binding.reason, assets, summary)
    item = installed[0]
    return HandlerEntry(name, item.spec.class_name, f"{item.distribution} {item.version}", assets, summary)


def maintain_handler(
    project: Project, name: str, assets: Sequence[str], settings: Sequence[str], *, dry_run: bool
) -> list[dict[str, Any]]:
    """Run the maintenance of a handler, if it has a method `maintain`.

    The method is called as `maintain(contexts, dry_run=True, **options)`, where `contexts` are the `InputContext`s of
    the selected assets, and returns one dictionary of plain values per action.

    Args:
        project: The project.
        name: Name of the handler.
        assets: Selected assets; none selects all that it stores.
        settings: Options of the handler, `option=value` each.
        dry_run: Plan only.

    Returns:
        The actions that were planned or applied.

    Raises:
        UsageError: The handler does not support maintenance or an option, or does not store an asset.
    """
    from rivers_core.authoring import resolve_awaitable
    from rivers_core.contexts import InputContext

    usage = HandlerUsage.of_project(project)
    handler = find_handler(project, usage, name)
    method = getattr(handler, "maintain", None)
    if not callable(method):
        raise UsageError(f"Handler {name!r} ({type(handler).__name__}) does not support maintenance.")
    contexts = [
        InputContext(output.name, "maintain", output.metadata, None, output.type_hint)
        for output in _selected_outputs(usage, name, assets)
    ]
    pairs = [parse_pair(text, "--set", "option=value") for text in settings]
    options = {key: parse_value(text) for key, text in pairs}
    try:
        actions = resolve_awaitable(method(contexts, dry_run=dry_run, **options))
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        raise UsageError(f"--set: handler {name!r} does not support this option: {error}.") from error
    return [dict(action) for action in actions or ()]


def verify_handler(project: Project, name: str, assets: Sequence[str]) -> list[Verification]:
    """Verify what a handler stores for assets; values that were never stored are left out.

    Args:
        project: The project.
        name: Name of the handler.
        assets: Selected assets; none selects all that it stores.

    Raises:
        UsageError: The handler does not store an asset.
    """
    usage = HandlerUsage.of_project(project)
    handler = find_handler(project, usage, name)
    contexts = [
        context
        for output in _selected_outputs(usage, name, assets)
        for context in _stored_contexts(usage, handler, output)
    ]
    results = []
    for context in contexts:
        partition = None if context.partition is None else str(context.partition.key)
        try:
            counts = dict(handler.verify(context))
        except FileNotFoundError as error:
            if partition is not None:  # the event log says that it was stored
                results.append(Verification(context.asset_name, partition, {}, str(error)))
        except (RiversError, OSError) as error:
            results.append(Verification(context.asset_name, partition, {}, str(error)))
        else:
            results.append(Verification(context.asset_name, partition, counts))
    return results


def prune_versions(
    project: Project,
    name: str,
    assets: Sequence[str],
    keep: int | None,
    older_than: timedelta | None,
    *,
    dry_run: bool,
) -> list[PrunedVersion]:
    """Remove earlier versions of what a handler stores for assets.

    Args:
        project: The project.
        name: Name of the handler.
        assets: Selected assets; none selects all that it stores.
        keep: Number of earlier versions of each value that stay.
        older_than: Age that a version must exceed.
        dry_run: Plan only.

    Raises:
        UsageError: The handler does not keep versions, or does not store an asset.
    """
    usage = HandlerUsage.of_project(project)
    handler = find_handler(project, usage, name)
    if not handler.has_versions:
        raise UsageError(f"Handler {name!r} ({type(handler).__name__}) does not keep versions.")
    return [
        PrunedVersion(
            context.asset_name, None if context.partition is None else str(context.partition.key), version
        )
        for output in _selected_outputs(usage, name, assets)
        for context in _stored_contexts(usage, handler, output)
        for version in handler.prune(context, keep=keep, older_than=older_than, dry_run=dry_run)
    ]


def _stored_contexts(usage: HandlerUsage, handler: BaseIOHandler, output: StoredOutput) -> list[InputContext]:
    """Return a context for each value of an asset: one for all partitions if the handler takes them together."""
    from rivers_core.contexts import InputContext
    from rivers_core.partitions import PartitionContext

    definition, repository = output.partitions_def, usage.repository
    if definition is None or repository is None or handler.partition_batches:
        return [InputContext(output.name, "verify", output.metadata, None, output.type_hint)]
    keys = repository.storage.get_materialized_partitions(output.name)
    partitions = (PartitionContext([definition.parse_partition_key(key)], definition) for key in keys)
    return [
        InputContext(output.name, "verify", output.metadata, partition, output.type_hint)
        for partition in partitions
    ]


def _selected_outputs(usage: HandlerUsage, name: str, assets: Sequence[str]) -> list[StoredOutput]:
    """Return the outputs that a handler stores; of a selection of assets if there is one.

    Raises:
        UsageError: The handler does not store an asset that is named, or none of the selection.
        AssetNotFoundError: A name is unknown.
    """
    outputs = {output.name: output for output in usage.outputs_of(name)}
    if not assets:
        return list(outputs.values())
    if usage.repository is None or all(asset in outputs for asset in assets):  # nodes, too
        selected: Collection[str] = assets
    else:
        selected = usage.repository.select(assets) or ()
    named = {asset for asset in assets if usage.repository is None or asset in usage.repository.graph.outputs}
    missing = sorted(named - outputs.keys()) or ([] if outputs.keys() & set(selected) else list(assets))
    if missing:
        stored = ", ".join(outputs) or "none"
        raise UsageError(f"Handler {name!r} does not store asset {missing[0]!r}. Its assets: {stored}.")
    return [output for asset, output in outputs.items() if asset in set(selected)]


def _format_cell(title: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and title.endswith("bytes"):
        return format_size(value)
    return str(value)
