"""`rivers migrate`: copy stored values to another handler, verify and record them."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from uuid import uuid4

import typer

from rivers.inspection.errors import describe_error
from rivers.inspection.handlers import HandlerUsage, find_handler
from rivers_cli.errors import ExitError, UsageError
from rivers_cli.humanize import format_duration
from rivers_cli.options import AsJson, Assets, Exclude, complete_endpoint, select_assets
from rivers_cli.output import Column, print_document, print_error, print_table, project_output_to_stderr
from rivers_core.authoring import counted
from rivers_core.exceptions import ConflictError, IntegrityError, NotMaterializedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rivers.graph.plan import StoredOutput
    from rivers.inspection import Project
    from rivers.storage import Event, EventStorage
    from rivers_core.contexts import InputContext, OutputContext
    from rivers_core.handler import BaseIOHandler
    from rivers_core.partitions import PartitionKey

TAG: Final = "rivers/migrated_from"
"""Tag of events that record a copy; its value is the handler that the value came from."""

State = Literal["to copy", "copied", "there already", "failed"]


def migrate(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Option(
            "--from", metavar="HANDLER[@ENV]", help="Handler to read.", autocompletion=complete_endpoint
        ),
    ],
    target: Annotated[
        str,
        typer.Option(
            "--to", metavar="HANDLER[@ENV]", help="Handler to write.", autocompletion=complete_endpoint
        ),
    ],
    assets: Assets = None,
    exclude: Exclude = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be copied.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace different values at the target.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Copy stored values from one handler to another.

    Loads, stores, reloads and compares every value and partition. A repeated call copies only what is missing. The
    event log records the new handler and keeps the versions, so that fresh assets stay fresh once the configuration
    names the new handler. The source is not changed.

    Exit codes: 0 all values copied, 1 some values failed, 2 the call is not valid, 130 interrupted.

    Examples:
      $ rivers migrate --from files --to lake --dry-run
      $ rivers migrate --from files --to lake orders customers
      $ rivers migrate --from files --to files@prod
    """
    if source == target:
        raise UsageError(f"--from and --to must be different handlers, got {source!r} for both.")
    project = context.obj.project
    with project_output_to_stderr(as_json):
        usage = HandlerUsage.of_repository(project.inspect())
        migration = Migration(
            find_endpoint(project, usage, source, reading=True),
            find_endpoint(project, usage, target, reading=dry_run),
            str(uuid4()),
            overwrite,
        )
        copies = list(migration.plan(_select_outputs(usage, assets, exclude, migration.source)))
        if not dry_run:
            migration.run(copies, context.obj.redact, verbose=not as_json)
    if as_json:
        print_document(_document(migration, copies, dry_run))
    elif not copies:
        print(f"{migration.source.name} stores no value of these assets.")
    elif dry_run:
        columns = [Column("Value"), Column("State"), Column("From", wraps=True), Column("To", wraps=True)]
        print_table(
            columns, [(copy.name, copy.state, copy.source or "", copy.target or "") for copy in copies]
        )
    else:
        _print_summary(migration, copies)
    if any(copy.state == "failed" for copy in copies):
        raise ExitError


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Source or target of a migration.

    Attributes:
        name: The handler as typed: `name` or `name@environment`.
        label: Name of the handler in events.
        handler_for: Returns the handler of an asset, wrapped by plugins.
        storage: Event storage of its environment.
    """

    name: str
    label: str
    handler_for: Callable[[str], BaseIOHandler]
    storage: EventStorage


@dataclass(slots=True)
class Copy:
    """Copy of one stored value: one partition, or an asset without partitions.

    Attributes:
        output: The asset.
        key: The partition key.
        event: Event that recorded the value at the source; None without one.
        state: State of the copy.
        message: Why it failed.
        source: Address at the source.
        target: Address at the target.
        duration_ns: Time that it took.
    """

    output: StoredOutput
    key: PartitionKey | None
    event: Event | None
    state: State = "to copy"
    message: str = ""
    source: str | None = None
    target: str | None = None
    duration_ns: int = 0

    @property
    def partition(self) -> str | None:
        """Display form of the partition key."""
        return None if self.key is None else str(self.key)

    @property
    def name(self) -> str:
        """The asset with its partition."""
        return self.output.name if self.key is None else f"{self.output.name} [{self.key}]"

    def contexts(self, run_id: str) -> tuple[InputContext, OutputContext]:
        """Create the contexts with which handlers load and store the value."""
        from rivers_core.contexts import InputContext, OutputContext
        from rivers_core.partitions import PartitionContext

        output = self.output
        partition = None if self.key is None else PartitionContext([self.key], output.partitions_def)
        input_context = InputContext(
            output.name, "migrate", output.metadata, partition, output.type_hint, run_id=run_id,
            upstream=self.event,
        )  # fmt: skip
        output_context = OutputContext(
            output.name, output.metadata, partition, output.type_hint, run_id=run_id,
            step_name=output.step_name,
        )  # fmt: skip
        return input_context, output_context

    def dynamic_keys(self) -> Iterator[tuple[str, list[str]]]:
        """Yield the keys of dynamic partitions in the partition key, by name of the definition."""
        from rivers.partitions import PartitionsDefinition
        from rivers_core.partitions import PartitionKey

        definition, key = self.output.partitions_def, self.key
        if isinstance(key, PartitionKey.Single) and isinstance(definition, PartitionsDefinition.Dynamic):
            yield definition.name, key.key
        elif isinstance(key, PartitionKey.Multi) and isinstance(definition, PartitionsDefinition.Multi):
            for dimension, part in definition.dimensions.items():
                if isinstance(part, PartitionsDefinition.Dynamic):
                    yield part.name, key.keys[dimension]


@dataclass(slots=True)
class Migration:
    """Copies values; copies of an earlier call are recognized and kept.

    Args:
        source: Where to read.
        target: Where to write.
        run_id: The run that records the copies.
        overwrite: Whether to replace different values at the target.
    """

    source: Endpoint
    target: Endpoint
    run_id: str
    overwrite: bool = False
    _target_events: dict[str, dict[str | None, Event]] = field(default_factory=dict)

    def plan(self, outputs: Sequence[StoredOutput]) -> Iterator[Copy]:
        """Yield a copy for every value of some assets that the source stores."""
        for output in outputs:
            for copy in self._source_values(output):
                input_context, output_context = copy.contexts(self.run_id)
                copy.source = self.source.handler_for(output.name).describe_address(input_context)
                copy.target = self.target.handler_for(output.name).describe_address(output_context)
                if self._is_current(copy) and _exists(self.target, output.name, input_context):
                    copy.state = "there already"
                yield copy

    def run(self, copies: Sequence[Copy], redact: Callable[[str], str], *, verbose: bool) -> None:
        """Copy values and record them as one run; does nothing if all are there already.

        Args:
            copies: The values; get their state.
            redact: Removes credentials from messages.
            verbose: Whether to print each value.
        """
        if all(copy.state == "there already" for copy in copies):
            return
        storage = self.target.storage
        names = list(dict.fromkeys(copy.output.name for copy in copies))
        tags = [("rivers/migration", f"{self.source.name} -> {self.target.name}")]
        storage.start_run(self.run_id, tags=tags, steps=names, selection=names)
        status, message = "failure", None
        completed = 0
        try:
            for copy in copies:
                self._copy(copy)
                completed += 1
                copy.message = redact(copy.message) if copy.message else ""
                if verbose:
                    duration = (
                        "" if copy.state == "there already" else f"  {format_duration(copy.duration_ns)}"
                    )
                    remark = f": {copy.message}" if copy.message else ""
                    print_error(f"{copy.name}  {copy.state}{duration}{remark}")
            failed = sum(copy.state == "failed" for copy in copies)
            status, message = (
                ("failure", f"{counted(failed, 'value')} could not be copied")
                if failed
                else ("success", None)
            )
        except KeyboardInterrupt:
            status, message = "canceled", "interrupted; the same call continues"
            print_error(
                f"Interrupted after {completed} of {counted(len(copies), 'value')}. Repeat the call to continue."
            )
            raise
        finally:
            storage.finish_run(self.run_id, status, message)
            storage.flush()

    def _copy(self, copy: Copy) -> None:
        if copy.state == "there already":
            return
        started = perf_counter_ns()
        try:
            copy.state = self._transfer(copy)
        except Exception as error:
            copy.state, copy.message = "failed", describe_error(error)
        copy.duration_ns = perf_counter_ns() - started

    def _transfer(self, copy: Copy) -> State:
        """Store the value at the target, compare it and record it."""
        from rivers_core.authoring import resolve_awaitable

        input_context, output_context = copy.contexts(self.run_id)
        address = copy.target or self.target.name
        target = self.target.handler_for(copy.output.name)
        value = resolve_awaitable(self.source.handler_for(copy.output.name).load_input(input_context))
        may_replace = self.overwrite or self._earlier_copy(copy) is not None
        if not may_replace and resolve_awaitable(target.exists(input_context)):
            if not _is_same(value, resolve_awaitable(target.load_input(input_context))):
                raise ConflictError(f"A different value exists at {address}. Use --overwrite to replace it.")
            self._record(copy, output_context)
            return "there already"
        resolve_awaitable(target.handle_output(output_context, value))
        has_same_version = copy.event is not None and output_context.data_version == copy.event.data_version
        if not has_same_version and not _is_same(value, resolve_awaitable(target.load_input(input_context))):
            raise IntegrityError(f"The value loaded from {address} differs from the stored one.")
        self._record(copy, output_context)
        return "copied"

    def _record(self, copy: Copy, output_context: OutputContext) -> None:
        """Record the copy at the target with the versions of the source, so that nothing becomes stale."""
        from rivers.storage import Event

        for name, keys in copy.dynamic_keys():
            self.target.storage.add_dynamic_partitions(name, keys)
        event = copy.event
        self.target.storage.record(
            Event(
                "Materialization",
                run_id=self.run_id,
                asset_key=copy.output.name,
                partition_key=copy.partition,
                metadata=output_context.output_metadata,
                data_version=output_context.data_version if event is None else event.data_version,
                code_version=copy.output.code_version if event is None else event.code_version,
                input_data_versions=() if event is None else event.input_data_versions,
                tags=((TAG, self.source.name),),
                handler=self.target.label,
                step=copy.output.step_name,
            )
        )

    def _is_current(self, copy: Copy) -> bool:
        """Return whether the target's event log has this version of the value and its dynamic partition keys."""
        earlier = self._earlier_copy(copy)
        if earlier is None or copy.event is None or earlier.data_version != copy.event.data_version:
            return False
        has_key = self.target.storage.has_dynamic_partition
        return all(has_key(name, key) for name, keys in copy.dynamic_keys() for key in keys)

    def _earlier_copy(self, copy: Copy) -> Event | None:
        """Return the target's last event of a value if it records a copy from the same source."""
        name = copy.output.name
        if name not in self._target_events:
            self._target_events[name] = _last_materializations(self.target, copy.output)
        event = self._target_events[name].get(copy.partition)
        if event is None or (TAG, self.source.name) not in [tuple(tag) for tag in event.tags]:
            return None
        return event

    def _source_values(self, output: StoredOutput) -> Iterator[Copy]:
        """Yield the values that the event log knows, or without any event, those that the store has."""
        from rivers.execution.keys import existing_keys

        events = _last_materializations(self.source, output)
        definition = output.partitions_def
        for key in (None,) if definition is None else existing_keys(definition, self.source.storage):
            copy = Copy(output, key, events.get(None if key is None else str(key)))
            is_searched = not events or definition is None
            input_context, _ = copy.contexts(self.run_id)
            if copy.event is not None or (is_searched and _exists(self.source, output.name, input_context)):
                yield copy


def find_endpoint(project: Project, usage: HandlerUsage, text: str, *, reading: bool) -> Endpoint:
    """Return the endpoint that `NAME`, or `NAME@ENVIRONMENT` for another environment, refers to.

    Args:
        project: The project.
        usage: Usage of its repository.
        text: The value of the option.
        reading: Whether nothing will be recorded there.

    Raises:
        HandlerNotFoundError: The handler does not exist.
        ConfigurationError: Its configuration, or the environment, is not valid.
        UsageError: Its values exist in one process only, or there is no configuration file.
    """
    from rivers.graph.resolve_hooks import ResolveHooks
    from rivers_core.plugins import get_registry

    name, at, environment = text.partition("@")
    if not name or (at and not environment):
        raise UsageError(f"A handler must be NAME or NAME@ENVIRONMENT, got {text!r}.")
    bound: dict[str, BaseIOHandler] = {}
    if not at:
        storage = project.storage(reading=reading)
        bound.update((output.name, output.handler) for output in usage.outputs_of(name))
        handler = find_handler(project, usage, name)
    else:
        from rivers_core.config import load_config

        if project.config is None or project.config.path is None:
            raise UsageError(f"{text}: rivers.toml not found; it defines the environment {environment!r}.")
        config = load_config(project.config.path, environment=environment)
        storage = project.storage_of(config, reading=reading)
        handler = config.handler(name)
    if handler.locality == "process":
        raise UsageError(
            f"{text} ({type(handler).__name__}) stores values in the memory of one process; they cannot be migrated."
        )

    def handler_for(asset: str) -> BaseIOHandler:
        if asset not in bound:
            bound[asset] = ResolveHooks(get_registry()).wrap(handler, asset)
        return bound[asset]

    return Endpoint(text, name, handler_for, storage)


def _select_outputs(
    usage: HandlerUsage, assets: Sequence[str] | None, exclude: Sequence[str] | None, source: Endpoint
) -> list[StoredOutput]:
    """Return the selected assets, else all that the source has ever stored.

    Raises:
        AssetNotFoundError: A name is unknown, or nothing matches.
    """
    repository = usage.repository
    assert repository is not None
    names = select_assets(repository, assets, exclude)
    if names is not None:
        graph = repository.graph
        whole = {name: graph.steps[name].outputs for name in names if name not in graph.outputs}
        return [output for name in names for output in whole.get(name) or (graph.outputs[name],)]
    used = usage.outputs_of(source.label)
    return [
        output
        for output in usage.outputs
        if output.step_name is not None and (output in used or _last_materializations(source, output))
    ]


def _last_materializations(endpoint: Endpoint, output: StoredOutput) -> dict[str | None, Event]:
    """Return the last event with which a handler stored each partition, whatever other handlers stored since."""
    events: dict[str | None, Event] = {}
    for event in endpoint.storage.get_events_for_asset(output.name, limit=None, with_steps=False):
        if event.event_type == "Materialization" and event.handler == endpoint.label:
            events.setdefault(event.partition_key, event)
    return events


def _exists(endpoint: Endpoint, asset: str, input_context: InputContext) -> bool:
    from rivers_core.authoring import resolve_awaitable

    try:
        return bool(resolve_awaitable(endpoint.handler_for(asset).exists(input_context)))
    except NotMaterializedError:
        return False


def _is_same(left: Any, right: Any) -> bool:
    """Return whether two values are equal; objects without a comparison are compared by their pickle."""
    from rivers.inspection.check import values_equal

    if values_equal(left, right):
        return True
    try:
        return pickle.dumps(left, protocol=5) == pickle.dumps(right, protocol=5)
    except Exception:
        return False


def _document(migration: Migration, copies: Sequence[Copy], dry_run: bool) -> dict[str, Any]:
    return {
        "from": migration.source.name,
        "to": migration.target.name,
        "dry_run": dry_run,
        "run_id": None if dry_run else migration.run_id,
        "values": [
            {
                "asset": copy.output.name,
                "partition": copy.partition,
                "state": copy.state,
                "source": copy.source,
                "target": copy.target,
                "message": copy.message or None,
            }
            for copy in copies
        ],
    }


def _print_summary(migration: Migration, copies: Sequence[Copy]) -> None:
    states = [copy.state for copy in copies]
    counts = [
        f"{states.count(state)} {state}" for state in ("copied", "there already", "failed") if state in states
    ]
    source, target = migration.source.name, migration.target.name
    print(f"{counted(len(copies), 'value')} from {source} to {target}: {', '.join(counts)}.")
    if "failed" not in states and "@" not in target:
        print(f"Next: name handler {target!r} for these assets in rivers.toml or in the code.")
