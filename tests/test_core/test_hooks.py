"""Every hook is tested, documented, and takes a subset of its arguments by name."""

from __future__ import annotations

import inspect
import logging
import subprocess
import sys
import types
from pathlib import Path

import pytest

from rivers_core.contexts import InputContext, OutputContext
from rivers_core.exceptions import PluginLoadError
from rivers_core.handler import BaseIOHandler
from rivers_core.hooks import CommandSpec, ExecutorSpec, HandlerSpec, hookimpl, specs
from rivers_core.hooks.observers import Observers
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
        made = {hook: f if hasattr(f, "rivers_impl") else hookimpl(f) for hook, f in functions.items()}
        registry.register(types.SimpleNamespace(**made), name=name)
    return registry


def observers_of(registry, hook):
    return getattr(registry.observers(), hook.removeprefix("rivers_"))


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_test(hook):
    assert any(name.startswith(f"test_{hook}") for name in globals())


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_heading_with_its_signature(hook):
    heading = f"## `{hook}({', '.join(inspect.signature(getattr(specs, hook)).parameters)})`"
    assert heading in PAGE.read_text().splitlines()


def test_the_page_describes_no_hook_that_does_not_exist():
    described = [line for line in PAGE.read_text().splitlines() if line.startswith("## `")]
    assert len(described) == len(HOOKS)


def test_rivers_io_handlers_takes_records_from_generators_and_lists():
    registry = registry_with(
        {"rivers_io_handlers": lambda: iter([HandlerSpec("a", "x:A")])},
        {"rivers_io_handlers": lambda: [HandlerSpec("b", "x:B"), HandlerSpec("c", "x:C")]},
        {"rivers_io_handlers": lambda: None},
    )
    assert [provided.qualified_name for provided in registry.handlers()] == ["a:a", "b:b", "b:c"]


def test_rivers_executors_takes_records():
    registry = registry_with({"rivers_executors": lambda: [ExecutorSpec("far", "collections:OrderedDict")]})
    assert registry.executor("far").__name__ == "OrderedDict"


def test_rivers_cli_commands_takes_records():
    registry = registry_with({"rivers_cli_commands": lambda: [CommandSpec("ui", "x:app")]})
    assert [provided.spec.name for provided in registry.commands()] == ["ui"]


def test_rivers_default_io_handler_gives_the_first_answer():
    registry = registry_with(
        {"rivers_default_io_handler": lambda asset_name: "first" if asset_name == "a" else None},
        {"rivers_default_io_handler": lambda asset_metadata: (asset_metadata or {}).get("keep")},
    )
    assert registry.default_io_handler("a") == "first"
    assert registry.default_io_handler("b", {"keep": "second"}) == "second"
    assert registry.default_io_handler("b") is None
    assert PluginRegistry(entry_points=[]).default_io_handler("a") is None


def test_rivers_default_io_handler_may_be_a_wrapper_and_may_answer_with_a_handler():
    handler = Handler()

    @hookimpl(wrapper=True)
    def rivers_default_io_handler(asset_name):
        answer = yield
        return handler if answer is None else answer

    registry = registry_with({"rivers_default_io_handler": rivers_default_io_handler})
    assert registry.default_io_handler("a") is handler


def test_rivers_default_io_handler_that_answers_nonsense_or_raises_is_named():
    with pytest.raises(PluginLoadError, match=r"rivers_default_io_handler .* asset 'a', got int"):
        registry_with({"rivers_default_io_handler": lambda: 3}).default_io_handler("a")
    registry = registry_with(
        {"rivers_default_io_handler": lambda asset_name: {}[asset_name]}, names=["guilty"]
    )
    with pytest.raises(
        PluginLoadError, match=r"Plugin 'guilty:guilty' raised in rivers_default_io_handler.*'a'"
    ) as caught:
        registry.default_io_handler("a")
    assert isinstance(caught.value.__cause__, KeyError)


def test_rivers_wrap_io_handler_goes_around_what_others_already_put_there():
    def around(label):
        return {"rivers_wrap_io_handler": lambda handler: Handler(inner=handler, label=label)}

    bare = Handler()
    registry = registry_with(
        around("one"), {"rivers_wrap_io_handler": lambda asset_name: None}, around("two")
    )
    wrapped = registry.wrap(bare, "a")
    assert {wrapped.label, wrapped.inner.label} == {"one", "two"}
    assert wrapped.inner.inner is bare
    assert registry_with().wrap(bare, "a") is bare


def test_rivers_wrap_io_handler_that_gives_no_handler_or_raises_is_named():
    registry = registry_with({"rivers_wrap_io_handler": lambda: object()}, names=["guilty"])
    with pytest.raises(PluginLoadError, match=r"Plugin 'guilty:guilty'.* asset 'a', got object"):
        registry.wrap(Handler(), "a")
    registry = registry_with({"rivers_wrap_io_handler": lambda handler: 1 / 0}, names=["guilty"])
    with pytest.raises(PluginLoadError, match=r"Plugin 'guilty:guilty' raised.*ZeroDivisionError"):
        registry.wrap(Handler(), "a")


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
def test_an_observer_that_raises_is_logged_with_its_plugin(error, caplog):
    def rivers_run_start():
        raise error

    (observer,) = observers_of(
        registry_with({"rivers_run_start": rivers_run_start}, names=["guilty"]), "rivers_run_start"
    )
    with caplog.at_level(logging.ERROR, "rivers.plugins"):
        assert observer("r1", [], []) is None
    assert "guilty:guilty raised in rivers_run_start" in caplog.text
    assert caplog.records[0].exc_info[1] is error


def test_an_interrupt_in_an_observer_is_an_interrupt():
    def rivers_run_start():
        raise KeyboardInterrupt

    (observer,) = observers_of(registry_with({"rivers_run_start": rivers_run_start}), "rivers_run_start")
    with pytest.raises(KeyboardInterrupt):
        observer("r1", [], [])


def test_a_wrapping_observer_sees_the_others_happen():
    seen = []

    @hookimpl(wrapper=True)
    def rivers_run_start(run_id):
        seen.append("before")
        result = yield
        seen.append("after")
        return result

    plain = {"rivers_run_start": lambda run_id: seen.append(run_id)}
    registry = registry_with(plain, {"rivers_run_start": rivers_run_start})
    (observer,) = observers_of(registry, "rivers_run_start")
    observer("r1", [], [])
    assert seen == ["before", "r1", "after"]


def test_observers_are_frozen_when_they_are_asked_for():
    registry = registry_with()
    before = registry.observers()
    registry.register(types.SimpleNamespace(rivers_run_start=hookimpl(lambda: None)), name="late")
    assert before.run_start == ()
    assert len(registry.observers().run_start) == 1
    registry.unregister("late")
    assert registry.observers().run_start == ()


@pytest.mark.parametrize("loaded_first", [None, "beta", "gamma"])
def test_the_order_of_plugins_does_not_depend_on_which_was_used_first(loaded_first, install):
    source = """
        from rivers_core.hooks import HandlerSpec, hookimpl
        @hookimpl
        def rivers_io_handlers():
            yield HandlerSpec("{0}", "x:{0}")
        @hookimpl
        def rivers_run_start(tags):
            tags.append("{0}")
    """
    for name in ("gamma", "alpha", "beta"):
        install(f"acme-{name}", {name: f"acme_{name}"}, {f"acme_{name}.py": source.format(name)})
    registry = PluginRegistry()
    registry.register(
        types.SimpleNamespace(rivers_run_start=hookimpl(lambda tags: tags.append("here"))), name="zeta"
    )
    if loaded_first:
        registry.handler_spec(loaded_first)
    for _ in range(2):
        tags = []
        for observer in registry.observers().run_start:
            observer("r1", [], tags)
        assert tags == ["here", "alpha", "beta", "gamma"]
    assert registry.handler_spec("alpha")


def test_nobody_watches_by_default():
    assert {getattr(Observers.none(), name) for name in Observers.__slots__} == {()}
    assert (
        repr(Observers.none())
        == "Observers(input_loaded=0, io_failed=0, output_stored=0, run_end=0, run_start=0)"
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
        "from rivers_core import get_registry; get_registry().handlers(); get_registry().observers()",
    ],
)
def test_a_plugin_module_costs_no_pydantic(statement):
    assert imported_by(statement, ["pydantic", "pydantic_settings", "rivers_core.handler"]) == "[]"


def test_the_facade_itself_imports_nothing():
    assert imported_by("import rivers_core", ["pluggy", "importlib_metadata", "asyncio", "logging"]) == "[]"


def test_listing_handlers_imports_no_store():
    heavy = ["obstore", "deltalake", "polars", "pyarrow", "cloudpickle", "loky"]
    assert imported_by("from rivers_core import get_registry; get_registry().handlers()", heavy) == "[]"
    assert (
        imported_by("from rivers_core import get_registry; get_registry().handler('memory')()", heavy) == "[]"
    )
