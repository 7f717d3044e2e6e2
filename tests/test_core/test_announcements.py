"""Announcements: a hook that acts without being named is called if an entry point announces it."""

from __future__ import annotations

import logging
import sys
import types

import pytest

from rivers.execution.observers import Observers
from rivers.graph.resolve_hooks import ResolveHooks
from rivers_core import hooks as specs
from rivers_core.exceptions import PluginLoadError
from rivers_core.handler import BaseIOHandler
from rivers_core.hooks import CommandSpec, hookimpl
from rivers_core.plugins import PluginRegistry
from rivers_core.plugins.discovery import GROUPS, intended_group
from rivers_core.plugins.loading import ANNOUNCED_HOOKS, RECORD_HOOKS

ALL_HOOKS = """
from rivers_core.handler import BaseIOHandler
from rivers_core.hooks import CommandSpec, HandlerSpec, hookimpl

class Wrapper(BaseIOHandler):
    def handle_output(self, context, obj): pass
    def load_input(self, context): pass

@hookimpl
def rivers_io_handlers():
    yield HandlerSpec("all", "acme_all:Wrapper")

@hookimpl
def rivers_cli_commands():
    yield CommandSpec("publish", "acme_all:Wrapper")

@hookimpl
def rivers_default_io_handler():
    return "all"

@hookimpl
def rivers_wrap_io_handler():
    return Wrapper()

@hookimpl
def rivers_run_start(): pass
"""


class Handler(BaseIOHandler):
    def handle_output(self, context, obj): ...

    def load_input(self, context): ...


@pytest.fixture
def install_all(fake_distribution):
    def installed(*announces):
        return fake_distribution(
            "acme-all", {"all": "acme_all"}, {"acme_all.py": ALL_HOOKS}, announces=announces
        )

    return installed


def called(registry):
    """Return the groups whose hooks the registry calls."""
    plain = Handler()
    results = {
        "observers": bool(Observers.of(registry).run_start),
        "resolve": ResolveHooks(registry).default_io_handler("a") == "all"
        and ResolveHooks(registry).wrap(plain, "a") is not plain,
        "commands": [item.spec.name for item in registry.commands() if item.distribution == "acme-all"]
        == ["publish"],
    }
    return {group for group, is_called in results.items() if is_called}


def status(registry, distribution):
    return next(item for item in registry.plugins() if item.distribution == distribution)


def test_each_hook_yields_records_or_is_announced():
    hooks = {name for name in vars(specs) if name.startswith("rivers_")}
    announced = {name for names in ANNOUNCED_HOOKS.values() for name in names}
    assert hooks == announced | set(RECORD_HOOKS)
    assert announced & set(RECORD_HOOKS) == {"rivers_cli_commands"}


@pytest.mark.parametrize("announces", [[], ["observers"], ["resolve"], ["commands"], ["resolve", "commands"]])
@pytest.mark.parametrize("loaded_first", [False, True])
def test_registry_calls_announced_hooks_only(announces, loaded_first, install_all):
    install_all(*announces)
    registry = PluginRegistry()
    if loaded_first:
        registry.handler("all")
    assert called(registry) == set(announces)
    assert ("acme_all" in sys.modules) == (loaded_first or bool(announces))


@pytest.mark.parametrize("announces", [[], ["observers"], ["resolve"], ["commands"]])
def test_registry_loads_announced_plugins_only(announces, install_all):
    install_all(*announces)
    registry = PluginRegistry()
    Observers.of(registry)
    assert ("acme_all" in sys.modules) == (announces == ["observers"])
    ResolveHooks(registry).wrap(Handler(), "a")
    ResolveHooks(registry).default_io_handler("a")
    assert ("acme_all" in sys.modules) == (announces in (["observers"], ["resolve"]))
    registry.commands()
    assert ("acme_all" in sys.modules) == bool(announces)


def test_load_all_reports_hook_without_announcement(install_all):
    install_all("observers")
    registry = PluginRegistry()
    registry.load_all()
    item = status(registry, "acme-all")
    assert item.state == "loaded"
    assert item.provides == ("handler all", "hook rivers_run_start")
    assert item.groups == ("rivers", "rivers.observers")
    resolve, commands = item.warnings
    assert "rivers_default_io_handler, rivers_wrap_io_handler" in resolve
    assert '[project.entry-points."rivers.resolve"] all = "acme_all"' in resolve
    assert "rivers_cli_commands" in commands
    assert '[project.entry-points."rivers.commands"] all = "acme_all"' in commands


def test_load_all_reports_announcement_without_hook(install_handler):
    install_handler("acme-yaml", "yaml", announces=["observers"])
    registry = PluginRegistry()
    registry.load_all()
    (warning,) = status(registry, "acme-yaml").warnings
    assert "'rivers.observers'" in warning


def test_load_all_reports_handler_without_entry_point(install_handler):
    install_handler("acme-yaml", "yaml", entry_point="acme")
    registry = PluginRegistry()
    registry.load_all()
    (warning,) = status(registry, "acme-yaml").warnings
    assert '[project.entry-points.rivers] yaml = "acme_yaml.plugin"' in warning


def test_load_all_reports_conflict_behind_other_entry_point(install_handler):
    install_handler("acme-yaml", "yaml")
    install_handler("zeta-stuff", "yaml", entry_point="stuff")
    registry = PluginRegistry()
    registry.load_all()
    for distribution in ("acme-yaml", "zeta-stuff"):
        assert any(
            "acme-yaml 1.0 and zeta-stuff 1.0" in text for text in status(registry, distribution).warnings
        )
    registry.configure(pin={"yaml": "acme-yaml"})
    registry.load_all()
    assert status(registry, "acme-yaml").warnings == ()


def test_first_party_plugins_have_no_warnings():
    registry = PluginRegistry(allow=["rivers-*"])
    registry.load_all(targets=True)
    assert {item.distribution: item.warnings for item in registry.plugins() if item.warnings} == {}


def test_in_process_plugin_needs_no_announcement():
    registry = PluginRegistry(entry_points=[])
    functions = {
        "rivers_run_start": lambda: None,
        "rivers_default_io_handler": lambda: "all",
        "rivers_cli_commands": lambda: [CommandSpec("publish", "x:y")],
    }
    registry.register(
        types.SimpleNamespace(**{name: hookimpl(function) for name, function in functions.items()}), "here"
    )
    assert len(Observers.of(registry).run_start) == 1
    assert ResolveHooks(registry).default_io_handler("a") == "all"
    assert [item.spec.name for item in registry.commands()] == ["publish"]
    (item,) = registry.plugins()
    assert item.warnings == ()
    assert set(item.groups) == GROUPS


def test_separate_module_may_be_announced_under_the_same_name(fake_distribution):
    entry_points = "[rivers]\nyaml = acme.plugin\n[rivers.observers]\nyaml = acme.watch\n"
    watch = "from rivers_core.hooks import hookimpl\n@hookimpl\ndef rivers_run_start(): pass\n"
    plugin = (
        "from rivers_core.hooks import HandlerSpec, hookimpl\n"
        "@hookimpl\ndef rivers_io_handlers(): yield HandlerSpec('yaml', 'acme.handler:Yaml')\n"
    )
    fake_distribution("acme", entry_points, {"acme/plugin.py": plugin, "acme/watch.py": watch})
    registry = PluginRegistry()
    assert len(Observers.of(registry).run_start) == 1
    assert "acme.plugin" not in sys.modules
    registry.load_all()
    items = [item for item in registry.plugins() if item.distribution == "acme"]
    assert [(item.state, item.warnings) for item in items] == [("loaded", ())] * 2
    assert sorted(item.provides for item in items) == [("handler yaml",), ("hook rivers_run_start",)]


def test_entry_points_of_one_module_share_announcement(install_all, fake_distribution):
    entry_points = "[rivers]\nall = acme_all\nelse = acme_all\n[rivers.observers]\nwatch = acme_all\n"
    fake_distribution("acme-all", entry_points, {"acme_all.py": ALL_HOOKS})
    registry = PluginRegistry()
    assert len(Observers.of(registry).run_start) == 1
    assert [item.entry_point for item in registry.handlers() if item.distribution == "acme-all"] == ["all"]
    assert [item.entry_point for item in registry.plugins() if item.distribution == "acme-all"] == [
        "all",
        "else",
    ]


def test_broken_announced_plugin_is_logged_once(fake_distribution, caplog):
    fake_distribution("acme-bad", {"bad": "acme_bad"}, {"acme_bad.py": "1 / 0"}, announces=["observers"])
    registry = PluginRegistry()
    for _ in range(2):
        assert Observers.of(registry).run_start == ()
    assert [record.levelname for record in caplog.records if record.name == "rivers.plugins"] == ["WARNING"]
    assert "acme-bad 1.0" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_broken_resolve_plugin_is_error(fake_distribution, caplog):
    fake_distribution(
        "acme-crypt", {"crypt": "acme_crypt"}, {"acme_crypt.py": "1 / 0"}, announces=["resolve"]
    )
    registry = PluginRegistry()
    assert Observers.of(registry).run_start == ()
    for _ in range(2):
        for use in (
            lambda: ResolveHooks(registry).wrap(Handler(), "a"),
            lambda: ResolveHooks(registry).default_io_handler("a"),
        ):
            with pytest.raises(
                PluginLoadError, match=r"acme-crypt 1\.0.*ZeroDivisionError.*PLUGINS_DENY"
            ) as caught:
                use()
            assert isinstance(caught.value.__cause__, ZeroDivisionError)
    plain = Handler()
    assert ResolveHooks(PluginRegistry(deny=["acme-*"])).wrap(plain, "a") is plain


@pytest.mark.parametrize("announces", [[], ["resolve"]])
def test_strict_registry_loads_every_plugin(announces, fake_distribution):
    fake_distribution("acme-bad", {"bad": "acme_bad"}, {"acme_bad.py": "1 / 0"}, announces=announces)
    registry = PluginRegistry(strict=True)
    for use in (
        lambda: Observers.of(registry),
        registry.commands,
        lambda: ResolveHooks(registry).wrap(Handler(), "a"),
    ):
        with pytest.raises(PluginLoadError, match="acme-bad"):
            use()


@pytest.mark.parametrize(
    ("group", "intended"),
    [
        ("rivers_io_handlers", "rivers"),
        ("rivers.handlers", "rivers"),
        ("Rivers", "rivers"),
        ("rivers-plugins", "rivers"),
        ("river", "rivers"),
        ("rivers.executors", "rivers"),
        ("rivers.event_storages", "rivers"),
        ("rivers.observer", "rivers.observers"),
        ("rivers.obsevers", "rivers.observers"),
        ("rivers_run_start", "rivers.observers"),
        ("rivers.resolvers", "rivers.resolve"),
        ("rivers_default_io_handler", "rivers.resolve"),
        ("rivers_cli_commands", "rivers.commands"),
        ("rivers.command", "rivers.commands"),
        *((group, group) for group in sorted(GROUPS)),
        *(
            (group, None)
            for group in ("rivers_delta", "rivers.frame_types", "riverside", "drivers", "pytest11")
        ),
    ],
)
def test_intended_group_recognizes_similar_names(group, intended):
    assert intended_group(group) == intended


@pytest.mark.parametrize("group", ["rivers_io_handlers", "rivers.handlers", "Rivers", "rivers-plugins"])
def test_entry_point_in_wrong_group_is_broken(group, fake_distribution, install_handler):
    install_handler("acme-good", "good")
    fake_distribution("acme-bad", f"[{group}]\nbad = acme_bad\n", {"acme_bad.py": ALL_HOOKS})
    registry = PluginRegistry()
    assert registry.handler("good")
    with pytest.raises(PluginLoadError) as caught:
        registry.handler("bad")
    assert repr(group) in str(caught.value)
    assert "Use the group 'rivers'" in str(caught.value)
    assert status(registry, "acme-bad").state == "broken"
    assert repr(group) in status(registry, "acme-bad").error
    assert "acme_bad" not in sys.modules


def test_second_entry_point_in_former_group_is_ignored(fake_distribution):
    entry_points = "[rivers]\nall = acme_all\n[rivers_io_handlers]\nall = acme_all\n[rivers_delta]\nx = y\n"
    fake_distribution("acme-all", entry_points, {"acme_all.py": ALL_HOOKS})
    items = [item for item in PluginRegistry().plugins() if item.distribution == "acme-all"]
    assert [(item.entry_point, item.state) for item in items] == [("all", "not loaded")]


class Clock:
    """Clock that advances by a fixed time with each reading."""

    def __init__(self, seconds):
        self.now, self.seconds = 0.0, seconds

    def __call__(self):
        self.now += self.seconds
        return self.now


@pytest.mark.parametrize(("seconds", "count"), [(0.9, 0), (12.0, 1)])
@pytest.mark.parametrize("source", [ALL_HOOKS, "1 / 0"])
def test_registry_warns_about_slow_plugin(seconds, count, source, fake_distribution, caplog):
    fake_distribution("acme-slow", {"slow": "acme_slow"}, {"acme_slow.py": source})
    registry = PluginRegistry(allow=["acme-*"], clock=Clock(seconds))
    with caplog.at_level(logging.WARNING, "rivers.plugins"):
        for _ in range(2):
            registry.load_all()
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == count
    assert all("acme-slow 1.0" in text and "12.0 s" in text for text in messages)
