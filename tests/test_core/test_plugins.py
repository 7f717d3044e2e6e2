"""Handlers are found by name, and no more is imported than the question needs."""

from __future__ import annotations

import sys
import types
from concurrent.futures import ThreadPoolExecutor

import pytest

from rivers_core.config import load_config
from rivers_core.exceptions import ConfigurationError, HandlerNotFoundError, PluginLoadError
from rivers_core.hooks import CommandSpec, ExecutorSpec, HandlerSpec, hookimpl
from rivers_core.plugins import PluginRegistry, get_registry


def names(registry):
    return [provided.spec.name for provided in registry.handlers()]


def plugin(**functions):
    return types.SimpleNamespace(**{name: hookimpl(function) for name, function in functions.items()})


def test_using_a_handler_loads_its_plugin_module_and_no_other(install_handler):
    install_handler("acme-json", "json")
    install_handler("acme-csv", "csv")
    registry = PluginRegistry()
    assert registry.handler_spec("json").spec.target == "acme_json.handler:JsonIOHandler"
    assert "acme_json.handler" not in sys.modules
    assert registry.handler("json")().load_input(None) == "JsonIOHandler"
    assert "acme_json.plugin" in sys.modules
    assert "acme_csv" not in sys.modules


def test_who_names_the_distribution_loads_no_other(install_handler):
    install_handler("acme-json", "json")
    install_handler("acme-csv", "csv")
    assert PluginRegistry().handler("acme-json:json").__name__ == "JsonIOHandler"
    assert PluginRegistry(pin={"json": "acme-json"}).handler("json").__name__ == "JsonIOHandler"
    assert "acme_csv" not in sys.modules


def test_a_name_that_is_claimed_under_another_entry_point_is_an_error_once_all_are_loaded(install_handler):
    install_handler("acme-json", "json")
    install_handler("zeta-stuff", "json", entry_point="stuff")
    registry = PluginRegistry()
    registry.load_all()
    with pytest.raises(ConfigurationError, match=r"'json' is claimed by acme-json 1\.0 and zeta-stuff 1\.0"):
        registry.handler("json")
    assert registry.handler("zeta-stuff:json").__module__ == "zeta_stuff.handler"


def test_registries_under_rules_of_their_own_do_not_change_each_other(install_handler):
    install_handler("acme-json", "json")
    install_handler("zeta-json", "json")
    registry = PluginRegistry()
    acme, zeta = (registry.with_policy(pin={"json": name}) for name in ("acme-json", "zeta-json"))
    closed = registry.with_policy(deny=["acme-*"])
    for _ in range(2):
        assert acme.handler("json").__module__ == "acme_json.handler"
        assert zeta.handler("json").__module__ == "zeta_json.handler"
        assert closed.handler("json").__module__ == "zeta_json.handler"
        with pytest.raises(ConfigurationError, match="claimed by"):
            registry.handler("json")
    assert acme.handler("json") is registry.handler("acme-json:json")
    with pytest.raises(HandlerNotFoundError, match="denied by 'acme-\\*'"):
        closed.handler("acme-json:json")


def test_each_configuration_keeps_its_own_plugin_rules(install_handler):
    install_handler("acme-json", "json")
    install_handler("zeta-stuff", "json")
    registry = PluginRegistry()

    def load(use="json", **rules):
        tables = {"io_handlers": {"x": {"use": use}}, **({"plugins": rules} if rules else {})}
        return load_config(tables, registry=registry)

    acme, zeta = load(pin={"json": "acme-json"}), load(pin={"json": "zeta-stuff"})
    denied, free = load("acme-json:json", deny=["acme-*"]), load()
    assert type(acme.handler("x")).__module__ == "acme_json.handler"
    assert type(zeta.handler("x")).__module__ == "zeta_stuff.handler"
    with pytest.raises(ConfigurationError, match="claimed by"):
        free.handler("x")
    with pytest.raises(ConfigurationError, match="denied by 'acme-"):
        denied.handler("x")
    with pytest.raises(HandlerNotFoundError, match="denied by 'acme-"):
        registry.handler("acme-json:json")


def test_rules_that_were_configured_hold_where_there_are_no_others(install_handler):
    install_handler("acme-json", "json")
    registry = PluginRegistry()
    free, ruled = registry.with_policy(), registry.with_policy(deny=["nobody"])
    registry.configure(deny=["acme-json"])
    assert ruled.handler("json")
    for closed in (registry, free):
        with pytest.raises(HandlerNotFoundError):
            closed.handler("json")


def test_plugins_of_the_process_are_there_under_all_rules_and_are_gone_from_all():
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
    assert len(ruled.observers().run_start) == len(registry.observers().run_start) == 1
    assert [state.state for state in registry.with_policy().plugins()] == ["not loaded"]
    ruled.unregister("notebook")
    assert names(registry) == names(ruled) == []
    assert ruled.observers().run_start == registry.observers().run_start == ()


def test_a_plugin_of_the_process_that_is_registered_anew_takes_the_place_of_the_old_one():
    registry = PluginRegistry(entry_points=[])
    ruled = registry.with_policy()
    for place in ("old", "new"):
        registry.register(plugin(rivers_default_io_handler=lambda place=place: place), name="notebook")
        assert registry.default_io_handler("orders") == ruled.default_io_handler("orders") == place
        registry.unregister("notebook")


def test_listing_loads_plugin_modules_and_no_targets(install_handler):
    install_handler("acme-json", "json")
    install_handler("acme-csv", "csv")
    assert {"csv", "json"} <= set(names(PluginRegistry()))
    assert {"acme_csv.plugin", "acme_json.plugin"} <= set(sys.modules)
    assert not {"acme_csv.handler", "acme_json.handler"} & set(sys.modules)


def test_the_states_of_plugins_are_told_without_an_import(install_handler):
    install_handler("acme-json", "json", version="3.1")
    registry = PluginRegistry(deny=["rivers-*"])
    states = {state.distribution: state for state in registry.plugins()}
    assert (states["acme-json"].state, states["acme-json"].version) == ("not loaded", "3.1")
    assert states["rivers-memory"].state == "denied"
    assert "'rivers-*'" in states["rivers-memory"].error
    assert "acme_json" not in sys.modules
    registry.handler_spec("json")
    assert {state.distribution: state for state in registry.plugins()}["acme-json"].provides == (
        "handler json",
    )


def test_a_handler_behind_an_entry_point_of_another_name_is_found(install_handler):
    install_handler("acme-json", "json", entry_point="acme")
    assert PluginRegistry().handler("json").__name__ == "JsonIOHandler"


def test_a_qualified_name_settles_who_provides_it(install_handler):
    install_handler("acme-json", "json")
    install_handler("zeta-json", "json")
    registry = PluginRegistry()
    assert registry.handler("zeta-json:json").__module__ == "zeta_json.handler"
    assert "acme_json" not in sys.modules
    assert registry.handler("acme_json:json").__module__ == "acme_json.handler"


def test_a_pin_settles_who_provides_a_name(install_handler):
    install_handler("acme-json", "json")
    install_handler("zeta-json", "json", entry_point="zeta")
    assert PluginRegistry(pin={"json": "zeta-json"}).handler("json").__module__ == "zeta_json.handler"
    registry = PluginRegistry(pin={"json": "acme-nothing"})
    with pytest.raises(HandlerNotFoundError, match="pip install acme-nothing"):
        registry.handler("json")
    registry.configure(pin={"json": "Acme_JSON"})
    assert registry.handler("json").__module__ == "acme_json.handler"
    assert registry.handler_class("JsonIOHandler").__module__ == "acme_json.handler"


def test_the_order_of_installation_decides_nothing(install_handler, site, tmp_path, monkeypatch):
    later = tmp_path / "later"
    later.mkdir()
    install_handler("zeta-json", "json")
    monkeypatch.syspath_prepend(str(later))
    install_handler("acme-json", "json", folder=later)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"acme-json 1\.0 and zeta-json 1\.0"):
            PluginRegistry().handler("json")
        sys.path.reverse()


def test_two_entry_points_to_one_module_are_one_plugin(install):
    source = """
        from rivers_core.hooks import HandlerSpec, hookimpl
        @hookimpl
        def rivers_io_handlers():
            yield HandlerSpec("json", "acme.handler:Json")
            yield HandlerSpec("csv", "acme.handler:Csv")
    """
    install("acme", {"json": "acme.plugin", "csv": "acme.plugin"}, {"acme/plugin.py": source})
    registry = PluginRegistry()
    for _ in range(2):
        assert registry.handler_spec("json").spec.class_name == "Json"
        assert registry.handler_spec("csv").spec.class_name == "Csv"
        registry.load_all()


def test_a_distribution_found_twice_on_the_path_is_no_conflict(install_handler, tmp_path, monkeypatch):
    install_handler("acme-json", "json", version="1.0")
    editable = tmp_path / "editable"
    editable.mkdir()
    monkeypatch.syspath_prepend(str(editable))
    install_handler("acme-json", "json", version="2.0", folder=editable)
    registry = PluginRegistry()
    assert registry.handler_spec("json").version == "2.0"
    assert names(registry).count("json") == 1


def test_a_distribution_that_dropped_its_plugin_is_not_revived_by_an_older_copy(
    install_handler, install, tmp_path, monkeypatch
):
    install_handler("acme-json", "json", version="1.0")
    newer = tmp_path / "newer"
    newer.mkdir()
    monkeypatch.syspath_prepend(str(newer))
    install("acme-json", "", {}, version="2.0", folder=newer)
    with pytest.raises(HandlerNotFoundError):
        PluginRegistry().handler("json")


def test_what_is_denied_is_not_imported(install_handler, monkeypatch):
    install_handler("acme-json", "json")
    registry = PluginRegistry()
    monkeypatch.setenv("RIVERS_PLUGINS_DENY", "other, acme-*")
    with pytest.raises(
        HandlerNotFoundError, match=r"comes with acme-json 1\.0.*denied by 'acme-\*' \(RIVERS_PLUGINS_DENY\)"
    ):
        registry.handler("json")
    with pytest.raises(AttributeError, match=r"'JsonIOHandler' comes with acme-json 1\.0.*denied by"):
        registry.handler_class("JsonIOHandler")
    assert "json" not in names(registry)
    assert "acme_json" not in sys.modules
    monkeypatch.delenv("RIVERS_PLUGINS_DENY")
    assert registry.handler("json")


def test_what_is_not_allowed_is_not_imported(install_handler, monkeypatch):
    install_handler("acme-json", "json")
    monkeypatch.setenv("RIVERS_PLUGINS_ALLOW", "rivers-*")
    registry = PluginRegistry(allow=["*"])
    with pytest.raises(HandlerNotFoundError, match=r"only rivers-\* is allowed \(RIVERS_PLUGINS_ALLOW\)"):
        registry.handler("acme-json:json")
    assert "acme_json" not in sys.modules
    assert "memory" in names(registry)


def test_rules_of_all_sources_hold_together_and_later_ones_reach_what_is_loaded(install_handler):
    install_handler("acme-json", "json")
    registry = PluginRegistry(deny=["nobody"])
    assert registry.handler("json")
    registry.configure(deny=["acme-json"])
    with pytest.raises(HandlerNotFoundError, match=r"`deny` in rivers\.toml"):
        registry.handler("json")
    registry.configure()
    assert registry.handler("json")


def test_an_unknown_name_says_what_there_is_and_what_comes_nearest(install_handler):
    install_handler("acme-json", "json")
    with pytest.raises(
        HandlerNotFoundError, match=r"IO handler 'jsn'\. Did you mean 'json'\? Installed: .*json"
    ):
        PluginRegistry().handler("jsn")


def test_a_handler_that_is_not_installed_comes_with_the_line_that_installs_it(install):
    install(
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


def test_a_record_whose_requirement_is_absent_comes_with_the_line_that_installs_it(install):
    source = """
        from rivers_core.hooks import HandlerSpec, hookimpl
        @hookimpl
        def rivers_io_handlers():
            yield HandlerSpec("ice", "acme.handler:Ice", requires=("pluggy", "polar-engine>=2"))
    """
    install(
        "acme-ice",
        {"ice": "acme.plugin"},
        {"acme/plugin.py": source, "acme/handler.py": "import polar_engine"},
    )
    with pytest.raises(
        HandlerNotFoundError, match=r"acme-ice 1\.0 requires polar-engine>=2.*pip install 'polar-engine>=2'"
    ):
        PluginRegistry().handler("ice")
    assert "acme.handler" not in sys.modules


def test_a_qualified_name_of_an_absent_distribution_says_how_to_install_it(install_handler):
    registry = PluginRegistry()
    with pytest.raises(
        HandlerNotFoundError, match=r"'acme-json:json' is not installed\. Install it: pip install acme-json"
    ):
        registry.handler("acme-json:json")
    install_handler("acme-json", "json")
    assert registry.handler("acme-json:json")
    with pytest.raises(HandlerNotFoundError, match="IO handler 'csv'.*: acme-json:json"):
        registry.handler("acme-json:csv")


def test_what_is_installed_while_the_process_runs_is_found(install_handler):
    registry = PluginRegistry()
    with pytest.raises(HandlerNotFoundError):
        registry.handler("json")
    install_handler("acme-json", "json")
    assert registry.handler("json")


def test_a_handler_class_is_found_by_its_name(install_handler):
    install_handler("acme-json", "json")
    registry = PluginRegistry()
    assert registry.handler_class("JsonIOHandler") is registry.handler("json")
    assert registry.handler_class("InMemoryIOHandler").__name__ == "InMemoryIOHandler"
    with pytest.raises(
        AttributeError, match=r"IO handler class 'JsnIOHandler'.*Did you mean 'JsonIOHandler'"
    ):
        registry.handler_class("JsnIOHandler")


def test_a_handler_class_of_a_broken_plugin_is_an_import_error(install):
    install("acme-bad", {"bad": "acme_bad.plugin"}, {"acme_bad/plugin.py": "1 / 0"})
    with pytest.raises(ImportError, match="acme-bad"):
        PluginRegistry().handler_class("BadIOHandler")


def test_executors_and_commands_are_records_too(install):
    source = """
        from rivers_core.hooks import CommandSpec, ExecutorSpec, hookimpl
        @hookimpl
        def rivers_executors():
            yield ExecutorSpec("far", "acme.far:Far")
        @hookimpl
        def rivers_cli_commands():
            yield CommandSpec("ui", "acme.ui:app", summary="Open it.")
    """
    install(
        "acme", {"far": "acme.plugin"}, {"acme/plugin.py": source, "acme/far.py": "class Far: pass\nnear = 1"}
    )
    registry = PluginRegistry()
    assert registry.executor("far").__name__ == "Far"
    assert [
        provided.qualified_name for provided in registry.executors() if provided.distribution == "acme"
    ] == ["acme:far"]
    assert "ui" in [provided.spec.name for provided in registry.commands()]
    with pytest.raises(HandlerNotFoundError, match=r"executor 'fat'\..*Did you mean 'far'"):
        registry.executor("fat")


def test_a_name_that_is_no_text_is_told():
    with pytest.raises(TypeError, match="IO handler must be a str, got None"):
        PluginRegistry(entry_points=[]).handler(None)


def test_given_entry_points_replace_the_installed_ones(install_handler):
    import importlib.metadata

    install_handler("acme-json", "json")
    points = importlib.metadata.distribution("acme-json").entry_points
    registry = PluginRegistry(entry_points=[*points, *points])
    assert names(registry) == ["json"]
    assert PluginRegistry(entry_points=[]).plugins() == []


def test_a_plugin_of_this_process_can_be_registered_and_removed(site):
    (site / "here.py").write_text(
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


def test_threads_that_ask_at_once_get_the_same_class(install_handler):
    install_handler("acme-json", "json")
    registry = PluginRegistry()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(registry.handler, ["json", "acme-json:json", "memory", "json"] * 8))
    assert len(set(found)) == 2


def test_there_is_one_registry_per_process():
    assert get_registry() is get_registry()


@pytest.mark.parametrize("record", [HandlerSpec, ExecutorSpec, CommandSpec])
def test_records_are_checked_when_they_are_made(record):
    made = record("json-lines", "acme.json:JsonLines", summary="Lines.")
    assert (made.module, made.class_name) == ("acme.json", "JsonLines")
    assert made == record("json-lines", "acme.json:JsonLines", summary="Lines.")
    with pytest.raises(AttributeError):
        made.name = "other"
    for name in ("", "Json", "json lines", "acme:json", None, 3):
        with pytest.raises(ValueError, match="short lower-case name"):
            record(name, "acme.json:Json")
    for target in (
        "acme.json",
        "acme.json:",
        "acme json:Json",
        ":Json",
        "acme.json:Json.inner",
        None,
        object,
    ):
        with pytest.raises(ValueError, match=r"package\.module:Class"):
            record("json", target)
    with pytest.raises(TypeError, match="summary"):
        record("json", "acme:Json", summary=3)
    with pytest.raises(TypeError, match="one line"):
        record("json", "acme:Json", summary="\x1b[2J two\nlines")


def test_requirements_are_a_sequence_of_names():
    assert HandlerSpec("a", "b:C", requires=["x"]).requires == ("x",)
    with pytest.raises(TypeError, match="sequence of distribution names"):
        HandlerSpec("a", "b:C", requires="x")
