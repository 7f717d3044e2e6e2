"""Registry: lookups by name, conflicts, status, hooks, and plugins registered in this process."""

from __future__ import annotations

import sys
import types
from concurrent.futures import ThreadPoolExecutor

import pytest

from rivers.execution.observers import Observers
from rivers.graph.resolve_hooks import ResolveHooks
from rivers_core.exceptions import ConfigurationError, HandlerNotFoundError, PluginLoadError
from rivers_core.hooks import HandlerSpec, hookimpl
from rivers_core.plugins import PluginRegistry, get_registry


def names(registry):
    return [provided.spec.name for provided in registry.handlers()]


def plugin(**functions):
    return types.SimpleNamespace(**{name: hookimpl(function) for name, function in functions.items()})


def test_handler_imports_only_its_own_plugin(install_handler):
    install_handler("acme-yaml", "yaml")
    install_handler("acme-csv", "csv")
    registry = PluginRegistry()
    assert registry.handler_spec("yaml").spec.target == "acme_yaml.handler:YamlIOHandler"
    assert "acme_yaml.handler" not in sys.modules
    assert registry.handler("yaml")().load_input(None) == "YamlIOHandler"
    assert "acme_yaml.plugin" in sys.modules
    assert "acme_csv" not in sys.modules


def test_qualified_or_pinned_name_imports_no_other_plugin(install_handler):
    install_handler("acme-yaml", "yaml")
    install_handler("acme-csv", "csv")
    assert PluginRegistry().handler("acme-yaml:yaml").__name__ == "YamlIOHandler"
    assert PluginRegistry(pin={"yaml": "acme-yaml"}).handler("yaml").__name__ == "YamlIOHandler"
    assert "acme_csv" not in sys.modules


def test_registry_detects_conflict_when_both_plugins_are_loaded(install_handler):
    install_handler("acme-yaml", "yaml")
    install_handler("zeta-stuff", "yaml", entry_point="stuff")
    registry = PluginRegistry()
    assert registry.handler("yaml").__module__ == "acme_yaml.handler"
    assert "zeta_stuff" not in sys.modules
    registry.load_all()
    with pytest.raises(ConfigurationError, match=r"'yaml' is claimed by acme-yaml 1\.0 and zeta-stuff 1\.0"):
        registry.handler("yaml")
    assert registry.handler("zeta-stuff:yaml").__module__ == "zeta_stuff.handler"


def test_registry_reports_name_conflict(install_handler):
    install_handler("acme-yaml", "yaml", version="1.2")
    install_handler("zeta-yaml", "yaml", version="0.3")
    registry = PluginRegistry()
    with pytest.raises(ConfigurationError) as caught:
        registry.handler("yaml")
    assert "acme-yaml 1.2 and zeta-yaml 0.3" in str(caught.value)
    assert '"acme-yaml:yaml"' in str(caught.value)
    assert [provided.distribution for provided in registry.handlers() if provided.spec.name == "yaml"] == [
        "acme-yaml",
        "zeta-yaml",
    ]


def test_register_affects_registries_of_all_policies():
    registry = PluginRegistry(entry_points=[])
    ruled = registry.with_policy(deny=["x"])
    seen = []
    registry.register(
        plugin(
            rivers_io_handlers=lambda: [HandlerSpec("here", "here:Here")],
            rivers_run_start=lambda: seen.append("run"),
        ),
        name="notebook",
    )
    assert names(ruled) == ["here"]
    assert len(Observers.of(ruled).run_start) == len(Observers.of(registry).run_start) == 1
    assert [state.state for state in registry.with_policy().plugins()] == ["not loaded"]
    ruled.unregister("notebook")
    assert names(registry) == names(ruled) == []
    assert Observers.of(ruled).run_start == Observers.of(registry).run_start == ()


def test_register_replaces_unregistered_plugin_of_same_name():
    registry = PluginRegistry(entry_points=[])
    ruled = registry.with_policy()
    for place in ("old", "new"):
        registry.register(plugin(rivers_default_io_handler=lambda place=place: place), name="notebook")
        assert (
            ResolveHooks(registry).default_io_handler("orders")
            == ResolveHooks(ruled).default_io_handler("orders")
            == place
        )
        registry.unregister("notebook")


def test_register_and_unregister(distributions_folder):
    (distributions_folder / "here.py").write_text(
        "from rivers_core.handler import BaseIOHandler\nclass Here(BaseIOHandler):\n"
        "    def handle_output(self, context, obj): pass\n    def load_input(self, context): pass\n"
    )
    registry = PluginRegistry(entry_points=[])
    registry.register(plugin(rivers_io_handlers=lambda: [HandlerSpec("here", "here:Here")]), name="notebook")
    assert registry.handler("here") is registry.handler("notebook:here")
    assert registry.plugins()[0].state == "loaded"
    with pytest.raises(PluginLoadError, match="already registered"):
        registry.register(plugin(), name="notebook")
    registry.unregister("notebook")
    assert registry.handlers() == []
    with pytest.raises(PluginLoadError, match="rivers_nothing"):
        registry.register(plugin(rivers_nothing=lambda: None), name="notebook")
    assert registry.plugins() == []


def test_handlers_imports_plugins_but_no_targets(install_handler):
    install_handler("acme-yaml", "yaml")
    install_handler("acme-csv", "csv")
    assert {"csv", "yaml"} <= set(names(PluginRegistry()))
    assert {"acme_csv.plugin", "acme_yaml.plugin"} <= set(sys.modules)
    assert not {"acme_csv.handler", "acme_yaml.handler"} & set(sys.modules)


def test_plugins_reports_status_without_import(install_handler):
    install_handler("acme-yaml", "yaml", version="3.1")
    registry = PluginRegistry(deny=["rivers-*"])
    states = {state.distribution: state for state in registry.plugins()}
    assert (states["acme-yaml"].state, states["acme-yaml"].version) == ("not loaded", "3.1")
    assert states["rivers-memory"].state == "denied"
    assert "'rivers-*'" in states["rivers-memory"].error
    assert "acme_yaml" not in sys.modules
    registry.handler_spec("yaml")
    assert {state.distribution: state for state in registry.plugins()}["acme-yaml"].provides == (
        "handler yaml",
    )


def test_handler_is_found_behind_other_entry_point(install_handler):
    install_handler("acme-yaml", "yaml", entry_point="acme")
    assert PluginRegistry().handler("yaml").__name__ == "YamlIOHandler"


def test_qualified_name_resolves_conflict(install_handler):
    install_handler("acme-yaml", "yaml")
    install_handler("zeta-yaml", "yaml")
    registry = PluginRegistry()
    assert registry.handler("zeta-yaml:yaml").__module__ == "zeta_yaml.handler"
    assert "acme_yaml" not in sys.modules
    assert registry.handler("acme_yaml:yaml").__module__ == "acme_yaml.handler"


def test_unknown_handler_lists_names_and_suggestion(install_handler):
    install_handler("acme-yaml", "yaml")
    with pytest.raises(
        HandlerNotFoundError, match=r"IO handler 'yml'\. Did you mean 'yaml'\? Installed: .*yaml"
    ):
        PluginRegistry().handler("yml")


def test_handler_not_installed_names_pip_command(fake_distribution):
    fake_distribution(
        "acme-flows", "", {}, metadata='Provides-Extra: ice\nRequires-Dist: rivers-ice>=1 ; extra == "ice"\n'
    )
    registry = PluginRegistry()
    with pytest.raises(
        HandlerNotFoundError, match=r"'ice' is not installed\. Install it: pip install rivers-ice$"
    ):
        registry.handler("ice")
    with pytest.raises(
        AttributeError, match=r"'IceIOHandler' is not installed\. Install it: pip install rivers-ice$"
    ):
        registry.handler_class("IceIOHandler")


def test_missing_requirement_names_pip_command(fake_distribution):
    source = """
        from rivers_core.hooks import HandlerSpec, hookimpl
        @hookimpl
        def rivers_io_handlers():
            yield HandlerSpec("ice", "acme.handler:Ice", requires=("pluggy", "polar-engine>=2"))
    """
    fake_distribution(
        "acme-ice",
        {"ice": "acme.plugin"},
        {"acme/plugin.py": source, "acme/handler.py": "import polar_engine"},
    )
    with pytest.raises(
        HandlerNotFoundError, match=r"acme-ice 1\.0 requires polar-engine>=2.*pip install 'polar-engine>=2'"
    ):
        PluginRegistry().handler("ice")
    assert "acme.handler" not in sys.modules


def test_name_of_missing_distribution_names_pip_command(install_handler):
    registry = PluginRegistry()
    with pytest.raises(
        HandlerNotFoundError, match=r"'acme-yaml:yaml' is not installed\. Install it: pip install acme-yaml"
    ):
        registry.handler("acme-yaml:yaml")
    install_handler("acme-yaml", "yaml")
    assert registry.handler("acme-yaml:yaml")
    with pytest.raises(HandlerNotFoundError, match="IO handler 'csv'.*: acme-yaml:yaml"):
        registry.handler("acme-yaml:csv")


def test_handler_class_is_found_by_class_name(install_handler):
    install_handler("acme-yaml", "yaml")
    registry = PluginRegistry()
    assert registry.handler_class("YamlIOHandler") is registry.handler("yaml")
    assert registry.handler_class("InMemoryIOHandler").__name__ == "InMemoryIOHandler"
    with pytest.raises(
        AttributeError, match=r"IO handler class 'YmlIOHandler'.*Did you mean 'YamlIOHandler'"
    ):
        registry.handler_class("YmlIOHandler")


def test_handler_class_of_broken_plugin_is_import_error(fake_distribution):
    fake_distribution("acme-bad", {"bad": "acme_bad.plugin"}, {"acme_bad/plugin.py": "1 / 0"})
    with pytest.raises(ImportError, match="acme-bad"):
        PluginRegistry().handler_class("BadIOHandler")


def test_registry_finds_executors_and_commands(fake_distribution):
    source = """
        from rivers_core.hooks import CommandSpec, ExecutorSpec, hookimpl
        @hookimpl
        def rivers_executors():
            yield ExecutorSpec("far", "acme.far:Far")
        @hookimpl
        def rivers_cli_commands():
            yield CommandSpec("ui", "acme.ui:app", summary="Open it.")
    """
    files = {"acme/plugin.py": source, "acme/far.py": "class Far: pass\nnear = 1"}
    fake_distribution("acme", {"far": "acme.plugin"}, files, announces=["commands"])
    registry = PluginRegistry()
    assert registry.executor("far").__name__ == "Far"
    assert [
        provided.qualified_name for provided in registry.executors() if provided.distribution == "acme"
    ] == ["acme:far"]
    assert "ui" in [provided.spec.name for provided in registry.commands()]
    with pytest.raises(HandlerNotFoundError, match=r"executor 'fat'\..*Did you mean 'far'"):
        registry.executor("fat")


def test_handler_rejects_name_that_is_not_text():
    with pytest.raises(TypeError, match="must be a str, got None"):
        PluginRegistry(entry_points=[]).handler(None)


def test_handler_is_the_same_class_in_all_threads(install_handler):
    install_handler("acme-yaml", "yaml")
    registry = PluginRegistry()
    with ThreadPoolExecutor(8) as pool:
        classes = set(pool.map(registry.handler, ["yaml", "acme-yaml:yaml", "memory", "yaml"] * 8))
    assert len(classes) == 2


def test_get_registry_returns_one_registry():
    assert get_registry() is get_registry()


@pytest.mark.parametrize("loaded_first", [None, "beta", "gamma"])
def test_hook_order_does_not_depend_on_load_order(loaded_first, fake_distribution):
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
        files = {f"acme_{name}.py": source.format(name)}
        fake_distribution(f"acme-{name}", {name: f"acme_{name}"}, files, announces=["observers"])
    registry = PluginRegistry()
    registry.register(
        types.SimpleNamespace(rivers_run_start=hookimpl(lambda tags: tags.append("here"))), name="zeta"
    )
    if loaded_first:
        registry.handler_spec(loaded_first)
    for _ in range(2):
        tags = []
        for observer in Observers.of(registry).run_start:
            observer("r1", [], tags)
        assert tags == ["here", "alpha", "beta", "gamma"]
    assert registry.handler_spec("alpha")


def test_observers_are_frozen_when_returned():
    registry = PluginRegistry(entry_points=[])
    before = Observers.of(registry)
    registry.register(types.SimpleNamespace(rivers_run_start=hookimpl(lambda: None)), name="late")
    assert before.run_start == ()
    assert len(Observers.of(registry).run_start) == 1
    registry.unregister("late")
    assert Observers.of(registry).run_start == ()


def test_observers_are_cached_until_plugins_or_policies_change(fake_distribution):
    source = "from rivers_core.hooks import hookimpl\n@hookimpl\ndef rivers_run_start(): pass\n"
    fake_distribution(
        "acme-watch", {"watch": "acme_watch"}, {"acme_watch.py": source}, announces=["observers"]
    )
    registry = PluginRegistry()
    observers = Observers.of(registry)
    assert len(observers.run_start) == 1
    assert Observers.of(registry) is observers
    registry.register(plugin(rivers_run_start=lambda: None), name="notebook")
    assert len(Observers.of(registry).run_start) == 2
    registry.configure(deny=["acme-watch"])
    assert len(Observers.of(registry).run_start) == 1
    registry.unregister("notebook")
    assert Observers.of(registry).run_start == ()


def test_register_after_immediate_unregister():
    registry = PluginRegistry(entry_points=[])
    for answer in ("first", "second"):
        registry.register(plugin(rivers_default_io_handler=lambda answer=answer: answer), name="notebook")
        if answer == "first":
            registry.unregister("notebook")
    assert ResolveHooks(registry).default_io_handler("orders") == "second"
