"""Check of a project: all its problems, and a test of every store."""

from __future__ import annotations

import importlib.metadata
import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from queue import Empty, Queue
from threading import Thread
from time import monotonic, perf_counter_ns
from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import uuid4

from rivers.inspection.errors import (
    ProjectError,
    ProjectImportError,
    describe_error,
    findings_of,
    project_traceback,
)
from rivers_core.authoring import counted
from rivers_core.exceptions import ConflictError, NotMaterializedError, RiversError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rivers.graph.plan import Graph
    from rivers.inspection.project import Project
    from rivers.repository import CodeRepository
    from rivers_core.contexts import InputContext, OutputContext
    from rivers_core.handler import BaseIOHandler

PROBE: Final = "rivers-check-probe"
"""Reserved name of probes. It is always the same, so that a store that refuses to delete keeps one probe."""


@dataclass(slots=True)
class StoreTest:
    """Test of one handler.

    Attributes:
        name: Name of the handler.
        handler: The handler.
        assets: Assets that it stores or loads.
        is_written: Whether steps of this project store with it; otherwise nothing is written.
        state: `ok`, `failed`, or `not tried`.
        timings: Nanoseconds by action: put, get, delete, look.
        address: Address of the probe, without credentials.
        remark: Why it failed, or was not tested.
    """

    name: str
    handler: BaseIOHandler
    assets: list[str] = field(default_factory=list)
    is_written: bool = False
    state: Literal["ok", "failed", "not tried"] = "not tried"
    timings: dict[str, int] = field(default_factory=dict)
    address: str | None = None
    remark: str = ""

    def document(self) -> dict[str, Any]:
        """Return the test as a JSON document."""
        return {
            "name": self.name,
            "class": type(self.handler).__name__,
            "state": self.state,
            "assets": self.assets,
            "address": self.address,
            "seconds": {action: spent / 1e9 for action, spent in self.timings.items()},
            "remark": self.remark or None,
        }


@dataclass(slots=True)
class Report:
    """Result of a check.

    Attributes:
        facts: What was checked, by noun.
        findings: Problems that prevent a run.
        warnings: Problems that do not.
        stores: Tests of the stores.
    """

    facts: dict[str, str] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    stores: list[StoreTest] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True if no problem was found."""
        return not self.findings and not self.failed_stores

    @property
    def failed_stores(self) -> int:
        """Number of stores that failed their test."""
        return sum(store.state == "failed" for store in self.stores)

    def document(self) -> dict[str, Any]:
        """Return the report as a JSON document."""
        return {
            "ok": self.ok,
            "facts": self.facts,
            "findings": self.findings,
            "warnings": self.warnings,
            "stores": [store.document() for store in self.stores],
        }


def check_project(
    project: Project, *, probe: bool, timeout: float, plugin_warnings: Iterable[str] = ()
) -> Report:
    """Check configuration, plugins, definitions, event log and stores of a project.

    Args:
        project: The project.
        probe: Whether to test the stores.
        timeout: Seconds that testing the stores may take.
        plugin_warnings: Warnings about plugins that the caller has found.

    Returns:
        All problems, however broken the project is, without credentials.

    Raises:
        ProjectError: There is no project.
    """
    report = Report()
    if _check_configuration(project, report):
        _check_plugins(report)
        report.warnings += plugin_warnings
        _check_executors(project, report)
        repository = _check_repository(project, report)
        _check_event_log(project, report)
        if repository is not None:
            report.warnings += _unused_rules(project, repository)
        if repository is not None and probe:
            report.stores = run_store_tests(stores_to_test(repository.graph), timeout)
    report.findings = [project.redact(text) for text in report.findings]
    report.warnings = [project.redact(text) for text in report.warnings]
    for store in report.stores:
        store.remark = project.redact(store.remark)
    return report


def _check_configuration(project: Project, report: Report) -> bool:
    """Return whether the configuration can be read."""
    try:
        config = project.config
    except ProjectError:
        raise
    except RiversError as error:
        report.findings += findings_of(error)
        return False
    report.facts["Configuration"] = "none"
    if config is not None:
        environment = f", environment {config.environment}" if config.environment else ""
        report.facts["Configuration"] = f"{config.path}{environment}"
        report.findings += config.findings()
    return True


def _check_plugins(report: Report) -> None:
    from rivers_core.plugins import get_registry

    registry = get_registry()
    try:
        registry.load_all(targets=True)
    except RiversError as error:
        report.findings += findings_of(error)
    statuses = registry.plugins()
    loaded = sum(status.state == "loaded" for status in statuses)
    report.facts["Plugins"] = f"{loaded} of {len(statuses)} loaded"
    report.warnings += [
        f"Plugin {status.entry_point!r} of {status.distribution} {status.version} is broken: {status.error}"
        for status in statuses
        if status.state == "broken"
    ]
    report.warnings += [
        f"Plugin {status.entry_point!r} of {status.distribution} {status.version}: {message}"
        for status in statuses
        for message in status.warnings
    ]
    foreign = foreign_distribution_message()
    report.warnings += [foreign] if foreign else []


def _check_executors(project: Project, report: Report) -> None:
    """Build the executors of the configuration; a run builds only those that it uses."""
    from rivers.executors.placement import Executors

    config = project.config
    if config is not None:
        findings = Executors(config.registry, config).findings()
        report.findings += [text for text in findings if text not in report.findings]


def foreign_distribution_message() -> str | None:
    """Return a warning if the distribution `rivers` of another project is installed, else None.

    Both projects install a package `rivers` and overwrite each other's files. Ours requires `rivers-core`; that is in
    the metadata of wheels and of editable installations alike, whereas only a wheel lists its modules.
    """
    from rivers_core.plugins import normalize_distribution

    try:
        distribution = importlib.metadata.distribution("rivers")
    except importlib.metadata.PackageNotFoundError:
        return None
    required = {re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in distribution.requires or ()}
    if "rivers-core" in map(normalize_distribution, required):
        return None
    return (
        f"rivers {distribution.version} is installed, another project with a package of the same name; each overwrites "
        "files of the other. Run `pip uninstall rivers`, then `pip install --force-reinstall --no-deps rivers-io`."
    )


def _check_repository(project: Project, report: Report) -> CodeRepository | None:
    try:
        repository = project.repository
        repository.validate()
        repository = project.inspect()
    except ProjectImportError as error:
        report.findings.append(f"{error}\n{project_traceback(error.__cause__ or error)}")
        return None
    except RiversError as error:
        report.findings += [text for text in findings_of(error) if text not in report.findings]
        return None
    jobs = f", {counted(len(repository.jobs), 'job')}" if repository.jobs else ""
    report.facts["Repository"] = f"{counted(len(repository.assets), 'asset')}{jobs}"
    return repository


def _check_event_log(project: Project, report: Report) -> None:
    """Read what `rivers assets` reads from an existing event log."""
    try:
        storage = project.storage(reading=True)
        storage.get_runs(limit=1)
        count = sum(record.last_event is not None for record in storage.get_asset_records())
    except RiversError as error:
        report.findings += findings_of(error)
    else:
        report.facts["Event log"] = counted(count, "asset") if count else "empty"


def _unused_rules(project: Project, repository: CodeRepository) -> Iterator[str]:
    """Yield a warning for each pattern of the configuration that matches no asset."""
    from rivers_core.authoring import did_you_mean

    names, config = repository.graph.outputs, project.config
    for pattern in () if config is None else dict.fromkeys((*config.rules, *config.metadata_rules)):
        if not any(fnmatchcase(name, pattern) for name in names):
            suggestion = did_you_mean(pattern, names)
            yield f'[assets] "{pattern}" does not match an asset and has no effect.{suggestion}'


def stores_to_test(graph: Graph) -> list[StoreTest]:
    """Return a test for every handler that a graph stores with or loads from."""
    tests: dict[int, StoreTest] = {}
    for output in graph.outputs.values():
        if output.binding is not None and not output.returns_materialization:
            test = tests.setdefault(id(output.handler), StoreTest(output.binding.label, output.handler))
            test.assets.append(output.name)
            test.is_written = test.is_written or output.step_name is not None
    for step in graph.steps.values():
        for loaded in step.inputs:
            handler = loaded.binding.handler
            test = tests.setdefault(id(handler), StoreTest(loaded.binding.label, handler))
            if loaded.upstream.name not in test.assets:
                test.assets.append(loaded.upstream.name)
    return list(tests.values())


def run_store_tests(tests: Sequence[StoreTest], timeout: float) -> list[StoreTest]:
    """Run tests concurrently.

    Args:
        tests: The tests to run.
        timeout: Seconds that all of them may take together.

    Returns:
        The tests in the same order; a store without an answer has failed.
    """
    finished: Queue[int] = Queue()

    def run(index: int) -> None:
        _run_store_test(tests[index])
        finished.put(index)

    for index in range(len(tests)):
        # daemon threads: a store that never answers must not keep the process alive
        Thread(target=run, args=(index,), daemon=True).start()
    # A test without an answer is reported by a copy, because its thread may still change it.
    results = [
        StoreTest(
            test.name, test.handler, test.assets, test.is_written, "failed",
            remark=f"No answer within {timeout:g} s. Check the address and the network.",
        )
        for test in tests
    ]  # fmt: skip
    deadline = monotonic() + timeout
    for _ in tests:
        try:
            index = finished.get(timeout=max(deadline - monotonic(), 0.01))
        except Empty:
            break
        results[index] = tests[index]
    return results


def _run_store_test(test: StoreTest) -> None:
    from rivers_core.contexts import InputContext
    from rivers_core.handler import BaseIOHandler

    handler = test.handler
    try:
        can_delete, value = handler.storing_handler().can_delete, probe_value(handler)
        if test.is_written and can_delete and value is not None:
            try:
                _round_trip(test, PROBE, value)
            except (NotMaterializedError, FileNotFoundError, ConflictError):
                # another process tests the same store with the same probe
                _round_trip(test, f"{PROBE}-{uuid4().hex[:12]}", value)
        elif type(handler).exists is not BaseIOHandler.exists:
            _time(test, "look", handler.exists, InputContext(PROBE, PROBE))
            test.state, test.remark = "ok", _why_not_written(test, can_delete)
        else:
            test.remark = f"{_why_not_written(test, can_delete)}; it has no `exists` to call instead"
    except (Exception, SystemExit) as error:
        test.state, test.remark = "failed", describe_error(error)


def _why_not_written(test: StoreTest, can_delete: bool) -> str:
    if not test.is_written:
        return "only read from, nothing was written"
    if not can_delete:
        return "the handler cannot delete, nothing was written"
    return "no probe has a type that the handler stores, nothing was written"


def _round_trip(test: StoreTest, name: str, value: Any) -> None:
    from rivers_core.contexts import InputContext, OutputContext

    handler = test.handler
    output_context = OutputContext(name, {}, None, type(value))
    input_context = InputContext(name, PROBE, {}, None, type(value))
    test.address = handler.describe_address(output_context)
    if _is_undeletable(handler, input_context):
        _use_left_probe(test, output_context, input_context, value)
        return
    try:
        _time(test, "put", handler.handle_output, output_context, value)
        loaded = _time(test, "get", handler.load_input, input_context)
        if not values_equal(value, loaded):
            raise RiversError(f"The loaded value ({type(loaded).__name__}) differs from the stored probe.")
    except BaseException:
        try:
            handler.delete(input_context)
        except Exception as error:
            test.remark = f"The probe may be left at {test.address or name}: {describe_error(error)}"
        raise
    test.state = "ok"
    try:
        _time(test, "delete", handler.delete, input_context)
    except Exception as error:  # values can be stored and loaded, which is what a run needs
        test.remark = f"cannot delete, the probe is left at {test.address or name}: {describe_error(error)}"
        return
    if _is_stored(handler, input_context):
        raise RiversError(f"The probe still exists after delete. Remove {test.address or name} manually.")


def _is_undeletable(handler: BaseIOHandler, context: InputContext) -> bool:
    """Return whether an earlier test left a probe that still cannot be deleted."""
    from rivers_core.authoring import resolve_awaitable
    from rivers_core.handler import BaseIOHandler

    if type(handler).exists is BaseIOHandler.exists or not _is_stored(handler, context):
        return False
    delete: Any = handler.delete  # may be async
    try:
        resolve_awaitable(delete(context))
    except Exception:
        return True
    return False


def _is_stored(handler: BaseIOHandler, context: InputContext) -> bool:
    from rivers_core.authoring import resolve_awaitable

    try:
        return bool(resolve_awaitable(handler.exists(context)))
    except (NotMaterializedError, FileNotFoundError):
        return False


def _use_left_probe(test: StoreTest, output: OutputContext, asked: InputContext, value: Any) -> None:
    """Store and load a probe in the place of one that cannot be deleted."""
    test.remark = f"cannot delete, the probe is left at {test.address or PROBE}"
    try:
        _time(test, "put", test.handler.handle_output, output, value)
    except Exception as error:  # such as a mode that refuses an existing value
        test.remark += f", and was not replaced: {describe_error(error)}"
    _time(test, "get", test.handler.load_input, asked)
    test.state = "ok"


def _time(test: StoreTest, action: str, method: Any, *arguments: Any) -> Any:
    from rivers_core.authoring import resolve_awaitable

    started = perf_counter_ns()
    try:
        return resolve_awaitable(method(*arguments))
    finally:
        test.timings[action] = perf_counter_ns() - started


def probe_value(handler: BaseIOHandler) -> Any:
    """Return a small value of a type that a handler stores and loads, or None if no candidate has one."""
    for value in _probe_candidates():
        if handler.accepts_type(type(value)) and handler.can_load_type(type(value)):
            return value
    return None


def _probe_candidates() -> Iterator[Any]:
    yield {"rivers": "probe"}
    for module, constructor in (("polars", "DataFrame"), ("pyarrow", "table"), ("pandas", "DataFrame")):
        try:
            library = __import__(module)
        except ImportError:
            continue
        yield getattr(library, constructor)({"rivers": ["probe"]})
    yield "rivers probe"
    yield b"rivers probe"


def values_equal(left: Any, right: Any) -> bool:
    """Return whether two values have the same type and content; frames and tables are compared by content."""
    if type(left) is not type(right):
        return False
    equals = getattr(left, "equals", None)
    result = equals(right) if callable(equals) else left == right
    try:
        return bool(result)
    except ValueError:  # an array of comparisons
        return bool(getattr(result, "all", lambda: False)())
