"""Secrets: every outlet of text is listed here, and none shows one of thirty secrets in any of ten spellings.

An outlet is a public name that returns or prints text: a command, a route of the page, a method of repository, result
or event log, an inspection record, the repr of a class, what travels to a worker. Each is either shown in the planted
project, or silent for the reason given here. A new one that is in neither list fails a test.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import pickle
import sys
import traceback
from contextlib import suppress
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import polars as pl
import psutil
import pytest
import typer
from starlette.exceptions import HTTPException
from starlette.requests import Request

import rivers as rs
from rivers import inspection
from rivers.executors.remote import StepRequest
from rivers.executors.remote.bundle import Bundle, make_bundle
from rivers.inspection import Project
from rivers.storage import EventStorage
from rivers_cli.lazy_group import COMMANDS
from rivers_core import hooks, load_config
from rivers_core.authoring import REDACTED, redact_secrets
from rivers_core.plugins import PluginRegistry, get_registry
from rivers_kubernetes.job import JobTerms, job_manifest
from rivers_ui.actions import Actions
from rivers_ui.answers import JsonText, serialize
from rivers_ui.app import Page, PageProject, create_routes
from rivers_ui.client import WorkerError
from rivers_ui.worker import CALLS, Worker, _describe
from tests.robustness.planted import (
    DEFINITIONS,
    DOTENV,
    PLANTED,
    SPELLINGS,
    TOML,
    Api,
    leaks,
    spelled,
)
from tests.test_cli.conftest import Folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.untrue_events("the handler stores nothing")

COMMAND_LINES: Final = {
    "assets": ["assets", "--json"],
    "check": ["check", "--timeout", "1"],
    "config show": ["config", "show"],
    "delete": ["delete", "people", "--yes"],
    "graph": ["graph", "--html"],
    "handlers": ["handlers", "--json"],
    "handlers maintain": ["handlers", "maintain", "Vault"],
    "handlers orphans": ["handlers", "orphans", "Vault"],
    "handlers prune": ["handlers", "prune", "Vault", "--keep", "1"],
    "handlers resign": ["handlers", "resign", "files"],
    "handlers show": ["handlers", "show", "Vault"],
    "handlers verify": ["handlers", "verify", "Vault"],
    "load": ["load", "people"],
    "log": ["log", "people", "--metadata"],
    "materialize": ["materialize", "--traceback"],
    "migrate": ["migrate", "--from", "Vault", "--to", "files", "people"],
    "plugins": ["plugins", "--json"],
    "restore": ["restore", "people", "--version", "1"],
    "runs": ["runs", "--json"],
    "runs cancel": ["runs", "cancel", "no-such-run"],
    "runs prune": ["runs", "prune", "--keep", "1"],
    "versions": ["versions", "people"],
}
SILENT: Final = {
    "reads no project": ["command: new", "command: config schema"],
    "prints its address; its answers are the routes": ["command: ui"],
    "changes the event log, returns no text of it": [
        f"storage: {name}"
        for name in (
            "add_dynamic_partitions", "attach_run", "close", "connect", "declare_assets", "delete_dynamic_partition",
            "detach_run", "embedded", "finish_run", "flush", "memory", "open", "prune_runs", "record", "record_log",
            "replace_running_steps", "request_cancellation", "start_run", "vacuum",
        )
    ],
    "answers with a number, a flag or a token": [
        f"storage: {name}"
        for name in (
            "change_token", "count_materialized_partitions", "has_dynamic_partition", "is_cancelled",
            "wait_for_change", "watching",
        )
    ],
    "keys that the user named": ["storage: get_dynamic_partitions"],
    "gives the user's own objects to the user's code": [
        f"repository: {name}"
        for name in (
            "accept", "config", "executor", "get_job", "graph", "handler_binding", "io_handler_for_output", "override",
            "resolve", "select", "shutdown", "storage", "restore", "versions",
        )
    ],
    "a record whose fields are those of the commands and routes": [
        f"inspection: {name}"
        for name in (
            "AssetSummary", "BOX_HEIGHT", "Edge", "HandlerFailedError", "HandlerUsage", "Layout", "Lineage", "Node",
            "Preview", "ProjectError", "ProjectImportError", "Report", "StoreTest", "build_lineage", "compute_layout",
            "find_handler", "handler_names", "preview_value", "stored_size", "summarize_assets", "type_name",
            "check_project", "describe_error", "plugin_document", "format_setting", "Project",
        )
    ],
    "shows what the user's code passes to it, and no setting": [
        f"class: {name}"
        for name in (
            "AssetDef", "AssetExecutionContext", "AssetStatus", "Backoff", "BashTask", "Compute", "ComputeEscalation",
            "DepDef", "DynamicOutput", "FailureReason", "Hook", "HookContext", "InputContext", "InvokedNodeOutput",
            "Materialization", "MetadataValue", "Observation", "Output", "OutputContext", "PartitionContext",
            "PartitionKey", "PartitionKeyRange", "PartitionMapping", "PartitionedOutput", "PartitionsDefinition",
            "RetryOn", "RetryPolicy", "Schema", "SelfDependency", "StatusList", "StatusRange", "Storage",
            "TaskExecutionContext",
        )
    ],
    "a module": ["class: exceptions", "class: testing"],
    "a record of a plugin, from its author": [
        f"hook: {name}"
        for name in (
            "rivers_cli_commands", "rivers_default_io_handler", "rivers_event_storages", "rivers_executors",
            "rivers_io_handlers", "rivers_wrap_io_handler",
        )
    ],
    "gives the user's context and handler": ["hook: rivers_input_loaded"],
    "sends the handlers with their secrets to the workers, and warns without TLS (test_dask)": ["executor: dask"],
    "pickles handlers with their secrets into a pipe between parent and child": ["executor: parallel"],
    "keeps no setting": ["handler: memory"],
}  # fmt: skip


def command_names() -> Iterator[str]:
    """Yield every command and subcommand."""
    for name, command in COMMANDS.items():
        module, _, attribute = command.target.partition(":")
        target = getattr(import_module(module), attribute)
        if not isinstance(target, typer.Typer):
            yield name
            continue
        if target.info.invoke_without_command is True or name in ("runs", "handlers"):
            yield name
        for item in target.registered_commands:
            assert item.callback is not None
            yield f"{name} {item.name or item.callback.__name__}"
    yield from (item.spec.name for item in PluginRegistry().commands())


def surfaces() -> set[str]:
    """Return every outlet, read from the code."""
    registry = PluginRegistry()
    public: list[tuple[str, Any]] = [
        ("storage", (name for name in dir(EventStorage) if not name.startswith("_"))),
        ("repository", (name for name in dir(rs.CodeRepository) if not name.startswith("_"))),
        ("result", [*inspect.get_annotations(rs.RunResult), "_repr_html_"]),
        ("inspection", inspection.__all__),
        ("class", [*rs.__all__]),
        ("hook", (name for name in dir(hooks) if name.startswith("rivers_"))),
        ("handler", (item.spec.name for item in registry.handlers())),
        ("executor", (item.spec.name for item in registry.executors())),
        ("command", command_names()),
        ("route", (f"{next(iter(route.methods - {'HEAD'}))} {route.path}" for route in routes(None))),
    ]
    return {f"{kind}: {name}" for kind, names in public for name in names}


class InProcess:
    """The worker of the page, in this process."""

    problem: str | None = None

    def __init__(self, project: Project) -> None:
        self._worker = Worker(project)

    def ask(self, call: str, /, *, timeout: float | None = None, **arguments: Any) -> JsonText:
        project = self._worker.project
        try:
            answer, failed = CALLS[call](self._worker, **arguments), False
        except (Exception, SystemExit) as error:
            answer, failed = _describe(project, error), True
        text = JsonText(serialize(answer, lambda text: redact_secrets(text, project.secrets())))
        if failed:
            raise WorkerError(**{name: json.loads(text)[name] for name in ("error", "message", "detail")})
        return text

    def call(self, call: str, /, **arguments: Any) -> Any:
        return json.loads(self.ask(call, **arguments))

    def fingerprint(self) -> tuple[int, int]:
        return 0, 0

    def close(self) -> None: ...


def routes(project: Project | None) -> list[Any]:
    """Return the routes with data of the page, of all those that it has with actions."""
    worker: Any = None if project is None else InProcess(project)
    facts = PageProject(
        "shop",
        None,
        None if project is None else project.event_log,
        lambda text: text if project is None else project.redact(text, is_own_message=True),
    )
    page = Page(facts, worker, worker, Actions((None, None, None)))
    return [route for route in create_routes(page) if route.path.startswith("/api/")]


def answer_of(route: Any, run_id: str, method: str = "GET", body: object = None) -> str:
    """Return what a route answers about each asset, or about the run."""
    texts = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps(body).encode()}

    for name in ("people", "logged", "spilled", "kept") if "{name" in route.path else ("",):
        scope = {
            "type": "http", "method": method, "path": route.path, "query_string": b"confirm=1", "headers": [],
            "path_params": {"name": name, "run_id": run_id},
        }  # fmt: skip
        try:
            texts.append(bytes(asyncio.run(route.endpoint(Request(scope, receive))).body).decode())
        except HTTPException as error:
            texts.append(str(error.detail))
    return "\n".join(texts)


class Watch:
    """An observer that keeps all that it gets."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.errors: list[BaseException] = []

    @hooks.hookimpl
    def rivers_run_start(self, run_id, step_names, tags):
        self.texts.append(f"{run_id} {step_names} {tags}")

    @hooks.hookimpl
    def rivers_run_end(self, run_id, error):
        self.errors += [] if error is None else [error]

    @hooks.hookimpl
    def rivers_output_stored(self, context, handler, event):
        self.texts.append(f"{context!r} {handler!r} {event!r}")

    @hooks.hookimpl
    def rivers_io_failed(self, context, handler, error):
        self.texts.append(f"{context!r} {handler!r}")
        self.errors.append(error)


class Records(logging.Handler):
    """All log records but those of the project's own code."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "planted.py" not in record.pathname:
            self.texts.append(logging.Formatter().format(record))


@pytest.fixture
def shop(recorded):
    """The planted project after two runs, with the event log that it had then: the page opens it for reading."""
    yield recorded
    if recorded.repo.storage is not recorded.storage:
        recorded.repo.resolve(recorded.storage)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Create the planted project, and run it twice with its event log."""
    path, watch, records = tmp_path_factory.mktemp("shop"), Watch(), Records()
    for name, text in (("rivers.toml", TOML), ("definitions.py", DEFINITIONS), (".env", DOTENV)):
        (path / name).write_text(text)
    root = logging.getLogger()
    level = root.level
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(path)
        monkeypatch.syspath_prepend(path)
        root.addHandler(records)
        root.setLevel(logging.DEBUG)
        project = Project(None, None, None)
        repo = project.open()
        get_registry().register(watch, "watch")
        try:
            result = repo.materialize(raise_on_error=False)
            with pytest.raises(rs.exceptions.ExecutionError) as caught:
                repo.materialize()
            repo.storage.flush()
            yield SimpleNamespace(
                path=path,
                project=project,
                repo=repo,
                storage=repo.storage,
                result=result,
                error=caught.value,
                watch=watch,
                records=records,
            )
        finally:
            root.removeHandler(records)
            root.setLevel(level)
            get_registry().unregister("watch")
            project.close()
            sys.modules.pop("definitions", None)


def texts_of_error(error: BaseException) -> str:
    return f"{error} {error!r} {error.__cause__!r} {''.join(traceback.format_exception(error))}"


def storage_texts(storage: EventStorage, run_id: str) -> dict[str, Callable[[], object]]:
    return {
        "get_all_latest_materializations": storage.get_all_latest_materializations,
        "get_asset_record": lambda: storage.get_asset_record("people"),
        "get_asset_records": storage.get_asset_records,
        "get_events_after": lambda: list(storage.get_events_after(0)),
        "get_events_for_asset": lambda: storage.get_events_for_asset("people"),
        "get_events_for_run": lambda: storage.get_events_for_run(run_id),
        "get_latest_materialization": lambda: storage.get_latest_materialization("logged"),
        "get_latest_materializations": lambda: storage.get_latest_materializations("logged"),
        "get_materialized_partitions": lambda: storage.get_materialized_partitions("logged"),
        "get_run": lambda: storage.get_run(run_id),
        "get_run_logs": lambda: storage.get_run_logs(run_id),
        "get_running_steps": storage.get_running_steps,
        "get_runs": storage.get_runs,
    }


def test_every_outlet_is_classified():
    silent = [name for names in SILENT.values() for name in names]
    shown = {f"command: {name}" for name in COMMAND_LINES} | SHOWN
    assert len(silent) == len(set(silent))
    assert not shown & set(silent)
    assert surfaces() == shown | set(silent)


SHOWN: Final = {
    *(f"storage: {name}" for name in storage_texts(rs.Storage.memory(), "")),
    *(f"repository: {name}" for name in ("assets", "delete", "jobs", "load_node", "materialize", "observe",
                                         "resources", "status", "validate")),
    *(f"result: {name}" for name in ("success", "run_id", "materialized_assets", "failed_assets", "skipped_assets",
                                     "errors", "_repr_html_")),
    *(f"inspection: {name}" for name in ("config_document", "event_document", "handler_settings", "log_document",
                                         "run_document")),
    *(f"class: {name}" for name in ("Asset", "BaseIOHandler", "CodeRepository", "Executor", "ExternalAsset",
                                    "GraphAsset", "Job", "MultiAsset", "Resource", "RunPlan", "RunResult",
                                    "SingleAsset", "Task")),
    *(f"handler: {name}" for name in ("delta", "json", "overlay", "parquet", "pickle")),
    *(f"route: {next(iter(route.methods - {'HEAD'}))} {route.path}" for route in routes(None)),
    "hook: rivers_io_failed", "hook: rivers_output_stored", "hook: rivers_run_end", "hook: rivers_run_start",
    "executor: kubernetes",
}  # fmt: skip


def assert_silent(text: str, *, reached: bool = True) -> None:
    """Require that a text shows no secret, and, if it was `reached`, that it would have shown one."""
    assert text
    assert not leaks(text)
    assert not reached or REDACTED in text


def test_leaks_are_seen_in_every_spelling():
    for secret in PLANTED:
        for spell in SPELLINGS.values():
            assert leaks(f"refused: {spell(secret)}.")
    assert not leaks(f"refused: {REDACTED}.")


def test_repository_and_results_show_no_secret(shop):
    repo, result = shop.repo, shop.result
    texts = [
        repr(result),
        result._repr_html_(),
        repr(repo),
        repo._repr_html_(),
        repr(repo.assets),
        repr(repo.jobs),
    ]
    texts += [repr(repo.status()), repr(repo.resources), repr(repo.validate()), repr(result.run_id)]
    texts += [f"{item!r} {item!s}" for item in (*repo.assets.values(), *repo.jobs.values())]
    texts += [repr(repo.materialize(dry_run=True)), repr(repo.observe()), repr(rs.Executor.in_process())]
    texts += [repr(result.success), repr(result.materialized_assets), repr(result.skipped_assets)]
    assert_silent("\n".join(texts))
    assert_silent(repr(result.failed_assets))
    for error in (*result.errors.values(), shop.error):
        assert_silent(texts_of_error(error))
    for call in (repo.load_node, repo.delete):
        with pytest.raises(Exception) as caught:  # noqa: PT011 (the error of the handler, in a group)
            call("people")
        assert_silent(texts_of_error(caught.value))


def test_event_log_shows_no_secret(shop):
    storage = shop.repo.storage
    for name, read in storage_texts(storage, shop.result.run_id).items():
        text = repr(read())
        assert not leaks(text), name
    assert_silent(repr(storage.get_events_for_run(shop.result.run_id)))
    assert_silent(repr(storage.get_run_logs(shop.result.run_id)))
    assert_silent(repr(storage.get_run(shop.result.run_id)), reached=False)
    for path in (shop.path / ".rivers").rglob("*"):
        assert not leaks(path.name)
        assert path.is_dir() or not leaks(path.read_bytes().decode("latin-1"))


def test_log_records_show_no_secret(shop):
    assert_silent("\n".join(shop.records.texts))


def test_observers_get_no_secret(shop):
    assert len(shop.watch.errors) >= 3
    assert_silent("\n".join([*shop.watch.texts, *map(texts_of_error, shop.watch.errors)]))


def test_files_of_the_store_show_no_secret(shop):
    files = [path for path in (shop.path / "data").rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert not leaks(f"{path.name} {path.read_bytes().decode('latin-1')}")


def test_routes_show_no_secret(shop):
    texts = {
        route.path: answer_of(route, shop.result.run_id)
        for route in routes(shop.project)
        if "GET" in route.methods
    }
    assert all(texts.values())
    assert not [path for path, text in texts.items() if leaks(text)]
    for path in (
        "assets/{name:path}/events",
        "handlers",
        "logs",
        "runs/{run_id}",
        "assets/{name:path}/preview",
    ):
        assert REDACTED in texts[f"/api/v1/{path}"], path


def test_actions_show_no_secret(shop, monkeypatch):
    started = []
    monkeypatch.setattr(
        Actions, "_start", lambda _, *arguments: started.append(arguments) or {"started": arguments}
    )
    texts = [
        answer_of(route, shop.result.run_id, "POST", body)
        for route in routes(shop.project)
        if "POST" in route.methods
        for body in (
            {"select": "people spilled"},
            {"select": "peple"},
            {"select": "kept", "partition": "x"},
            {},
            5,
        )
    ]
    assert started
    assert all(texts)
    assert_silent(f"{texts} {started}", reached=False)


def test_worker_process_has_no_secret_in_its_arguments_and_environment(shop, monkeypatch):
    monkeypatch.chdir(shop.path)
    shop.repo.materialize(["people"], executor=rs.Executor.parallel(1), raise_on_error=False)
    seen = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # of another test
            seen.append((process.cmdline(), process.environ()))
    assert any("rivers-worker" in arguments for arguments, _ in seen)
    assert_silent(repr(seen), reached=False)


def test_delta_table_has_no_secret(tmp_path):
    table = rs.DeltaIOHandler(
        table_uri=tmp_path / "lake",
        storage_options={"custom_password": PLANTED[0]},
        table_config={"delta.appendOnly": "false"},
    )

    @rs.Asset(io_handler=table, tags=["daily"], metadata={"source": "a"})
    def orders(context: rs.AssetExecutionContext, api: Api) -> pl.DataFrame:
        context.add_output_metadata({"from": api.url, "token": spelled(PLANTED[15:20])})
        return pl.DataFrame({"n": [1]})

    orders_repo = rs.CodeRepository([orders], resources={"api": Api()}, config=False)
    with orders_repo as repo:
        repo.resolve(rs.Storage.memory()).materialize(
            tags={"key": f"https://ada:{quote(PLANTED[17], safe='')}@host"}
        )
    files = [path for path in (tmp_path / "lake").rglob("*") if path.is_file()]
    assert any(path.suffix == ".json" for path in files)
    for path in files:
        assert not leaks(f"{path} {path.read_bytes().decode('latin-1')}")


def test_inspection_records_show_no_secret(shop):
    storage, run_id = shop.repo.storage, shop.result.run_id
    texts = [json.dumps(inspection.config_document(shop.project.config), default=str)]
    texts += [
        json.dumps(inspection.event_document(event), default=str)
        for event in storage.get_events_for_run(run_id)
    ]
    texts += [json.dumps(inspection.log_document(line), default=str) for line in storage.get_run_logs(run_id)]
    texts += [json.dumps(inspection.run_document(storage.get_run(run_id)), default=str)]
    assert_silent("\n".join(texts))


def test_handlers_show_no_secret(shop):
    config = load_config(shop.path / "rivers.toml")
    texts = [repr(config)]
    handlers = [config.handler(name) for name in ("files", "bucket", "tables", "layered")]
    for handler in (*handlers, *(output.handler for output in shop.repo.graph.outputs.values())):
        texts += [repr(handler), str(handler), f"{handler}", repr(handler.model_copy())]
    for handler in handlers:
        texts += [repr(handler.model_dump()), handler.model_dump_json()]
    texts += [repr(config.fields(name)) for name in config.handler_names]
    assert_silent("\n".join(texts))


def test_job_of_kubernetes_shows_no_secret(shop):
    steps = {step.name: step for step in shop.repo.graph.steps.values()}
    bundle = make_bundle(steps, shop.repo.resources)
    assert isinstance(bundle, Bundle)
    request = StepRequest(bundle, pickle.dumps("order"), "run", "people", "people", None, 1, None, None)
    terms = JobTerms(
        image="project:1", service_account="worker", compute=rs.Compute(cpu="1", memory="1Gi"), template={},
        run_store="s3://bucket/runs", step_timeout=None,
    )  # fmt: skip
    manifest = job_manifest(request, terms, name="job", path="runs/1", owner={}, secrets=["key"])
    assert_silent(f"{json.dumps(manifest)} {request!r} {bundle!r}", reached=False)


def test_commands_show_no_secret(shop, capfd, monkeypatch):
    monkeypatch.chdir(shop.path)
    folder, texts = Folder(shop.path, capfd), {}
    for name, arguments in COMMAND_LINES.items():
        done = folder.rivers(*arguments)
        texts[name] = done.out + done.err
    assert all(texts.values())
    assert not [name for name, text in texts.items() if leaks(text) or "Usage:" in text]
    reached = {name for name, text in texts.items() if REDACTED in text}
    assert reached >= {"delete", "handlers show", "load", "log", "materialize", "migrate"}
