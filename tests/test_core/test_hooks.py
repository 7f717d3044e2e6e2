"""Every hook is tested, documented, and takes a subset of its arguments by name."""

from __future__ import annotations

import copy
import inspect
import logging
import pickle
import subprocess
import sys
import types
from pathlib import Path

import pytest

from rivers.execution.observers import Observers
from rivers.graph.resolve_hooks import ResolveHooks
from rivers_core import hooks as specs
from rivers_core.contexts import InputContext, OutputContext
from rivers_core.exceptions import PluginLoadError
from rivers_core.handler import BaseIOHandler
from rivers_core.hooks import API_VERSION, CommandSpec, ExecutorSpec, HandlerSpec, StorageSpec, hookimpl
from rivers_core.plugins import PluginRegistry

PAGE = Path(__file__).parents[2] / "docs" / "hooks.md"
HOOKS = sorted(name for name, value in vars(specs).items() if name.startswith("rivers_") and callable(value))
OBSERVERS = {
    "rivers_run_start": ("r1", ["a", "b"], [("team", "x")]),
    "rivers_run_end": ("r1", False, ValueError("failed")),
    "rivers_output_stored": (OutputContext("a"), "handler", "event"),
    "rivers_input_loaded": (InputContext("a", "b"), "handler"),
    "rivers_io_failed": (OutputContext("a"), "handler", ValueError("failed")),
}


class Handler(BaseIOHandler):
    inner: BaseIOHandler | None = None
    label: str = ""

    def handle_output(self, context, obj):
        pass

    def load_input(self, context):
        pass


def registry_with(*plugins, names="abcdef"):
    registry = PluginRegistry(entry_points=[])
    for name, functions in zip(names, plugins, strict=False):
        marked = {hook: f if hasattr(f, "rivers_impl") else hookimpl(f) for hook, f in functions.items()}
        registry.register(types.SimpleNamespace(**marked), name=name)
    return registry


def observers_of(registry, hook):
    return getattr(Observers.of(registry), hook.removeprefix("rivers_"))


@pytest.mark.parametrize("hook", HOOKS)
def test_each_hook_has_a_test(hook):
    assert any(name.startswith(f"test_{hook}") for name in globals())


@pytest.mark.parametrize("hook", HOOKS)
def test_each_hook_is_documented_with_its_signature(hook):
    heading = f"## `{hook}({', '.join(inspect.signature(getattr(specs, hook)).parameters)})`"
    assert heading in PAGE.read_text().splitlines()


def test_page_documents_only_existing_hooks():
    described = [line for line in PAGE.read_text().splitlines() if line.startswith("## `")]
    assert len(described) == len(HOOKS)


def test_rivers_io_handlers_accepts_generators_and_lists():
    registry = registry_with(
        {"rivers_io_handlers": lambda: iter([HandlerSpec("a", "x:A")])},
        {"rivers_io_handlers": lambda: [HandlerSpec("b", "x:B"), HandlerSpec("c", "x:C")]},
        {"rivers_io_handlers": lambda: None},
    )
    assert [provided.qualified_name for provided in registry.handlers()] == ["a:a", "b:b", "b:c"]


def test_rivers_executors_accepts_records():
    registry = registry_with({"rivers_executors": lambda: [ExecutorSpec("far", "collections:OrderedDict")]})
    assert registry.executor("far").__name__ == "OrderedDict"


def test_rivers_event_storages_accepts_records():
    def rivers_event_storages():
        return [StorageSpec("db", "collections:OrderedDict")]

    registry = registry_with({"rivers_event_storages": rivers_event_storages})
    assert registry.storage("db").__name__ == "OrderedDict"
    assert [provided.spec.name for provided in registry.storages()] == ["db"]


def test_rivers_cli_commands_accepts_records():
    registry = registry_with({"rivers_cli_commands": lambda: [CommandSpec("ui", "x:app")]})
    assert [provided.spec.name for provided in registry.commands()] == ["ui"]


def test_rivers_default_io_handler_returns_first_result():
    registry = registry_with(
        {"rivers_default_io_handler": lambda asset_name: "first" if asset_name == "a" else None},
        {"rivers_default_io_handler": lambda asset_metadata: (asset_metadata or {}).get("keep")},
    )
    assert ResolveHooks(registry).default_io_handler("a") == "first"
    assert ResolveHooks(registry).default_io_handler("b", {"keep": "second"}) == "second"
    assert ResolveHooks(registry).default_io_handler("b") is None
    assert ResolveHooks(PluginRegistry(entry_points=[])).default_io_handler("a") is None


def test_rivers_default_io_handler_accepts_handler():
    handler = Handler()
    registry = registry_with({"rivers_default_io_handler": lambda: handler})
    assert ResolveHooks(registry).default_io_handler("a") is handler


def test_rivers_default_io_handler_error_names_plugin():
    with pytest.raises(PluginLoadError, match=r"rivers_default_io_handler .* asset 'a', got int"):
        ResolveHooks(registry_with({"rivers_default_io_handler": lambda: 3})).default_io_handler("a")
    registry = registry_with({"rivers_default_io_handler": lambda asset_name: {}[asset_name]}, names=["acme"])
    with pytest.raises(
        PluginLoadError, match=r"Plugin 'acme:acme' raised in rivers_default_io_handler.*'a'"
    ) as caught:
        ResolveHooks(registry).default_io_handler("a")
    assert isinstance(caught.value.__cause__, KeyError)


def test_rivers_wrap_io_handler_nests_wrappers():
    def around(label):
        return {"rivers_wrap_io_handler": lambda handler: Handler(inner=handler, label=label)}

    bare = Handler()
    registry = registry_with(
        around("one"), {"rivers_wrap_io_handler": lambda asset_name: None}, around("two")
    )
    wrapped = ResolveHooks(registry).wrap(bare, "a")
    assert {wrapped.label, wrapped.inner.label} == {"one", "two"}
    assert wrapped.inner.inner is bare
    assert ResolveHooks(registry_with()).wrap(bare, "a") is bare


def test_resolve_hooks_ignore_later_plugins():
    registry = registry_with({"rivers_default_io_handler": lambda asset_name: None})
    hooks = ResolveHooks(registry)
    registry.register(types.SimpleNamespace(rivers_default_io_handler=hookimpl(lambda: "late")), "late")
    assert hooks.default_io_handler("a") is None
    assert ResolveHooks(registry).default_io_handler("a") == "late"
    bare = Handler()
    assert hooks.wrap(bare, "a") is bare


def test_rivers_wrap_io_handler_error_names_plugin():
    registry = registry_with({"rivers_wrap_io_handler": lambda: object()}, names=["acme"])
    with pytest.raises(PluginLoadError, match=r"Plugin 'acme:acme'.* asset 'a', got object"):
        ResolveHooks(registry).wrap(Handler(), "a")
    registry = registry_with({"rivers_wrap_io_handler": lambda handler: 1 / 0}, names=["acme"])
    with pytest.raises(PluginLoadError, match=r"Plugin 'acme:acme' raised.*ZeroDivisionError"):
        ResolveHooks(registry).wrap(Handler(), "a")


def check_observer(hook):
    seen = []
    arguments = OBSERVERS[hook]
    names = list(inspect.signature(getattr(specs, hook)).parameters)
    whole = eval(f"lambda {', '.join(names)}: seen.append(({', '.join(names)},))", {"seen": seen})
    last = eval(f"lambda {names[-1]}: seen.append({names[-1]})", {"seen": seen})
    observers = observers_of(registry_with({hook: whole}, {hook: last}, {hook: lambda: 1 / 0}), hook)
    for observer in observers:
        observer(*arguments)
    assert len(observers) == 3
    assert seen == [arguments[-1], arguments]


def test_rivers_run_start_is_frozen_and_guarded():
    check_observer("rivers_run_start")


def test_rivers_run_end_is_frozen_and_guarded():
    check_observer("rivers_run_end")


def test_rivers_output_stored_is_frozen_and_guarded():
    check_observer("rivers_output_stored")


def test_rivers_input_loaded_is_frozen_and_guarded():
    check_observer("rivers_input_loaded")


def test_rivers_io_failed_is_frozen_and_guarded():
    check_observer("rivers_io_failed")


@pytest.mark.parametrize(
    "error", [ValueError("oops"), SystemExit(1), AssertionError(), BaseException("panic")]
)
def test_observer_error_is_logged_with_plugin(error, caplog):
    def rivers_run_start():
        raise error

    (observer,) = observers_of(
        registry_with({"rivers_run_start": rivers_run_start}, names=["acme"]), "rivers_run_start"
    )
    with caplog.at_level(logging.ERROR, "rivers.plugins"):
        assert observer("r1", [], []) is None
    assert "acme:acme raised in rivers_run_start" in caplog.text
    assert caplog.records[0].exc_info[1] is error


def test_observer_propagates_keyboard_interrupt():
    def rivers_run_start():
        raise KeyboardInterrupt

    (observer,) = observers_of(registry_with({"rivers_run_start": rivers_run_start}), "rivers_run_start")
    with pytest.raises(KeyboardInterrupt):
        observer("r1", [], [])


@pytest.mark.parametrize("hook", HOOKS)
def test_hook_cannot_be_a_wrapper(hook):
    def implementation():
        return (yield)

    with pytest.raises(PluginLoadError, match=f"{hook} cannot be a pluggy wrapper"):
        registry_with({hook: hookimpl(implementation, wrapper=True)})


def test_observers_default_to_none():
    assert {getattr(Observers(), name) for name in Observers.__slots__} == {()}
    assert (
        repr(Observers()) == "Observers(input_loaded=0, io_failed=0, output_stored=0, run_end=0, run_start=0)"
    )


def imported_by(statement, modules):
    program = f"import sys\n{statement}\nprint([name for name in {modules!r} if name in sys.modules])"
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.mark.parametrize(
    "statement",
    [
        "import rivers_core",
        "from rivers_core import hookimpl, HandlerSpec, ExecutorSpec, CommandSpec",
        "from rivers_core.hooks import hookimpl, HandlerSpec",
        "from rivers_core import get_registry; get_registry().handlers(); get_registry().hooks('rivers.observers')",
    ],
)
def test_plugin_module_does_not_import_pydantic(statement):
    assert imported_by(statement, ["pydantic", "pydantic_settings", "rivers_core.handler"]) == "[]"


def test_rivers_core_imports_nothing_heavy():
    assert imported_by("import rivers_core", ["pluggy", "importlib_metadata", "asyncio", "logging"]) == "[]"


def test_handlers_imports_no_heavy_library():
    heavy = ["email.feedparser", "obstore", "deltalake", "polars", "pyarrow", "cloudpickle", "loky"]
    assert imported_by("from rivers_core import get_registry; get_registry().handlers()", heavy) == "[]"
    assert (
        imported_by("from rivers_core import get_registry; get_registry().handler('memory')()", heavy) == "[]"
    )


@pytest.mark.parametrize("record", [HandlerSpec, ExecutorSpec, CommandSpec])
def test_record_validates_name_target_and_summary(record):
    spec = record("yaml-lines", "acme.yaml:YamlLines", summary="Lines.")
    assert (spec.module, spec.class_name) == ("acme.yaml", "YamlLines")
    assert spec == record("yaml-lines", "acme.yaml:YamlLines", summary="Lines.")
    with pytest.raises(AttributeError):
        spec.name = "other"
    for name in ("", "Yaml", "yaml lines", "acme:yaml", None, 3):
        with pytest.raises(ValueError, match="short lower-case name"):
            record(name, "acme.yaml:Yaml")
    for target in (
        "acme.yaml",
        "acme.yaml:",
        "acme yaml:Yaml",
        ":Yaml",
        "acme.yaml:Yaml.inner",
        None,
        object,
    ):
        with pytest.raises(ValueError, match=r"package\.module:Class"):
            record("yaml", target)
    with pytest.raises(TypeError, match="summary"):
        record("yaml", "acme:Yaml", summary=3)
    with pytest.raises(TypeError, match="one line"):
        record("yaml", "acme:Yaml", summary="\x1b[2J two\nlines")


def test_record_requires_sequence_of_names():
    assert HandlerSpec("a", "b:C", requires=["x"]).requires == ("x",)
    with pytest.raises(TypeError, match="sequence of distribution names"):
        HandlerSpec("a", "b:C", requires="x")


@pytest.mark.parametrize("record", [HandlerSpec, ExecutorSpec, CommandSpec])
def test_record_checks_api_version_and_fields(record):
    assert record("yaml", "acme:Yaml").api_version == API_VERSION
    assert record("yaml", "acme:Yaml", api_version=7).api_version == 7
    for version in (0, -1, "1", 1.0, True, None):
        with pytest.raises(TypeError, match="api_version"):
            record("yaml", "acme:Yaml", api_version=version)
    with pytest.raises(TypeError, match=r"'colour'.*pip install -U rivers-core"):
        record("yaml", "acme:Yaml", colour="red")
    with pytest.raises(TypeError, match=r"'sumary'.*'summary'"):
        record("yaml", "acme:Yaml", sumary="Lines.")


@pytest.mark.parametrize("record", [HandlerSpec, ExecutorSpec, CommandSpec])
def test_record_can_be_copied_and_pickled(record):
    spec = record("yaml", "acme:Yaml", summary="Lines.", api_version=2)
    assert copy.deepcopy(spec) == pickle.loads(pickle.dumps(spec)) == spec
