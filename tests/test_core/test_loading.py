"""Loading: a broken plugin affects only those who use it, and is reported with its distribution."""

from __future__ import annotations

import signal

import pytest

from rivers.execution.observers import Observers
from rivers_core.exceptions import PluginLoadError
from rivers_core.hooks import API_VERSION
from rivers_core.plugins import PluginRegistry
from rivers_core.plugins.loading import MAX_RECORDS

GOOD_HEAD = "from rivers_core.hooks import ExecutorSpec, HandlerSpec, hookimpl\n"

BROKEN_MODULES = {
    "import error": ("import a_module_that_is_not_there", ModuleNotFoundError, "a_module_that_is_not_there"),
    "syntax error": ("def broken(:", SyntaxError, "invalid syntax"),
    "runtime error": ("raise RuntimeError('no license found')", RuntimeError, "no license found"),
    "system exit": ("import sys; sys.exit('goodbye')", SystemExit, "goodbye"),
    "yields something else": (
        GOOD_HEAD + "@hookimpl\ndef rivers_io_handlers():\n    yield 'bad', 'bad.handler:Bad'",
        TypeError,
        "must yield HandlerSpec records, it yielded a tuple",
    ),
    "yields an executor as a handler": (
        GOOD_HEAD + "@hookimpl\ndef rivers_io_handlers():\n    yield ExecutorSpec('bad', 'bad.handler:Bad')",
        TypeError,
        "it yielded a ExecutorSpec",
    ),
    "returns one record instead of yielding": (
        GOOD_HEAD + "@hookimpl\ndef rivers_io_handlers():\n    return HandlerSpec('bad', 'bad.handler:Bad')",
        TypeError,
        "must yield HandlerSpec records",
    ),
    "misspelt hook": (
        GOOD_HEAD + "@hookimpl\ndef rivers_io_handler():\n    yield HandlerSpec('bad', 'bad.handler:Bad')",
        AttributeError,
        "Did you mean 'rivers_io_handlers'?",
    ),
    "the same name twice": (
        GOOD_HEAD + "@hookimpl\ndef rivers_io_handlers():\n"
        "    yield HandlerSpec('bad', 'bad.handler:Bad')\n    yield HandlerSpec('bad', 'bad.handler:Other')",
        ValueError,
        "'bad' twice",
    ),
    "an older hook with an argument that is gone": (
        GOOD_HEAD + "@hookimpl\ndef rivers_io_handlers(registry):\n    registry.add('bad')",
        Exception,
        "registry",
    ),
    "an older record with a class instead of a target": (
        GOOD_HEAD
        + "@hookimpl\ndef rivers_io_handlers():\n    yield HandlerSpec('bad', handler_class=object)",
        TypeError,
        "handler_class",
    ),
    "a record with a field of a newer core": (
        GOOD_HEAD + "@hookimpl\ndef rivers_io_handlers():\n    yield HandlerSpec('bad', 'b:C', colour='red')",
        TypeError,
        "pip install -U rivers-core",
    ),
    "a record that this core does not have": (
        "from rivers_core.hooks import ThingSpec",
        ImportError,
        "pip install -U rivers-core acme-bad",
    ),
    "endless records": (
        GOOD_HEAD + "from itertools import count\n@hookimpl\ndef rivers_io_handlers():\n"
        "    yield from (HandlerSpec(f'bad{number}', 'bad.handler:Bad') for number in count())",
        ValueError,
        "more than 1,000 records",
    ),
    "a hook that is not marked": (
        GOOD_HEAD + "def rivers_io_handlers():\n    yield HandlerSpec('bad', 'bad.handler:Bad')",
        AttributeError,
        "rivers_io_handlers is not marked as a hook. Write @hookimpl",
    ),
    "a second hook that is not marked": (
        GOOD_HEAD + "@hookimpl\ndef rivers_io_handlers():\n    yield HandlerSpec('bad', 'bad.handler:Bad')\n"
        "def rivers_run_end(): pass",
        AttributeError,
        "rivers_run_end",
    ),
    "a record with a malformed target": (
        GOOD_HEAD + "@hookimpl\ndef rivers_io_handlers():\n    yield HandlerSpec('bad', 'bad.handler')",
        ValueError,
        "needs a target such as 'package.module:Class'",
    ),
    "raises while yielding": (
        GOOD_HEAD + "@hookimpl\ndef rivers_io_handlers():\n"
        "    yield HandlerSpec('bad', 'bad.handler:Bad')\n    raise OSError('config of bad is unreadable')",
        OSError,
        "config of bad is unreadable",
    ),
    "a wrapper around a chain": (
        (
            "from rivers_core.hooks import hookimpl\n"
            "@hookimpl(wrapper=True)\ndef rivers_wrap_io_handler(handler):\n    return (yield)"
        ),
        TypeError,
        "cannot be a pluggy wrapper",
    ),
    "an interrupt that nobody sent": ("raise KeyboardInterrupt", KeyboardInterrupt, "KeyboardInterrupt"),
    "a panic that is not an Exception": (
        "class PanicException(BaseException): pass\nraise PanicException('called `unwrap`')",
        BaseException,
        "PanicException: called `unwrap`",
    ),
    "raises a group of errors": (
        "raise ExceptionGroup('two', [OSError('a'), OSError('b')])",
        ExceptionGroup,
        "two",
    ),
}


@pytest.fixture
def registry(install_handler):
    install_handler("acme-good", "good")
    return PluginRegistry()


def test_two_entry_points_of_one_module_are_one_plugin(fake_distribution):
    source = """
        from rivers_core.hooks import HandlerSpec, hookimpl
        @hookimpl
        def rivers_io_handlers():
            yield HandlerSpec("yaml", "acme.handler:Yaml")
            yield HandlerSpec("csv", "acme.handler:Csv")
    """
    fake_distribution("acme", {"yaml": "acme.plugin", "csv": "acme.plugin"}, {"acme/plugin.py": source})
    registry = PluginRegistry()
    for _ in range(2):
        assert registry.handler_spec("yaml").spec.class_name == "Yaml"
        assert registry.handler_spec("csv").spec.class_name == "Csv"
        registry.load_all()


@pytest.mark.parametrize("case", BROKEN_MODULES)
def test_broken_plugin_is_reported_and_affects_no_other(case, fake_distribution, registry):
    source, cause, text = BROKEN_MODULES[case]
    fake_distribution("acme-bad", {"bad": "acme_bad.plugin"}, {"acme_bad/plugin.py": source}, version="2.5")

    assert registry.handler("good").__name__ == "GoodIOHandler"
    for _ in range(2):
        with pytest.raises(PluginLoadError) as caught:
            registry.handler("bad")
        message = str(caught.value)
        assert "acme-bad 2.5" in message
        assert "'bad'" in message
        assert "acme_bad.plugin" in message
        assert text in message
        assert "\n" not in message
        assert isinstance(caught.value.__cause__, cause)
    assert "good" in [provided.spec.name for provided in registry.handlers()]
    assert "bad" not in [provided.spec.name for provided in registry.handlers()]
    assert Observers.of(registry).output_stored == ()
    states = {state.entry_point: state for state in registry.plugins()}
    assert (states["bad"].state, states["good"].state) == ("broken", "loaded")
    assert text in states["bad"].error


BROKEN_TARGETS = {
    "its module does not exist": ({}, ModuleNotFoundError, "acme_bad.handler"),
    "its class does not exist": ({"acme_bad/handler.py": "x = 1"}, AttributeError, "BadIOHandler"),
    "its module raises": ({"acme_bad/handler.py": "1 / 0"}, ZeroDivisionError, "division by zero"),
    "its module exits": ({"acme_bad/handler.py": "raise SystemExit(3)"}, SystemExit, "SystemExit: 3"),
    "its module panics": (
        {"acme_bad/handler.py": "class PanicException(BaseException): pass\nraise PanicException('gone')"},
        BaseException,
        "PanicException: gone",
    ),
    "it is not a handler": ({"acme_bad/handler.py": "class BadIOHandler: pass"}, None, "not a subclass of"),
    "it is a function": (
        {"acme_bad/handler.py": "def BadIOHandler(): pass"},
        None,
        "a function, not a class",
    ),
    "it lacks a method": (
        {
            "acme_bad/handler.py": "from rivers_core.handler import BaseIOHandler\n"
            "class BadIOHandler(BaseIOHandler):\n    def handle_output(self, context, obj): pass"
        },
        None,
        "does not implement load_input",
    ),
    "its method lacks an argument": (
        {
            "acme_bad/handler.py": "from rivers_core.handler import BaseIOHandler\n"
            "class BadIOHandler(BaseIOHandler):\n    def handle_output(self, obj): pass\n"
            "    def load_input(self, context): pass"
        },
        None,
        "BadIOHandler.handle_output(self, obj) must take (self, context, obj)",
    ),
    "its method swaps arguments": (
        {
            "acme_bad/handler.py": "from rivers_core.handler import BaseIOHandler\n"
            "class BadIOHandler(BaseIOHandler):\n    def handle_output(self, obj, context): pass\n"
            "    def load_input(self, context): pass"
        },
        None,
        "BadIOHandler.handle_output(self, obj, context) must take (self, context, obj)",
    ),
}


@pytest.mark.parametrize("case", BROKEN_TARGETS)
def test_broken_target_is_reported_on_use(case, fake_distribution, registry):
    files, cause, text = BROKEN_TARGETS[case]
    plugin = GOOD_HEAD + (
        "@hookimpl\ndef rivers_io_handlers():\n    yield HandlerSpec('bad', 'acme_bad.handler:BadIOHandler')"
    )
    fake_distribution(
        "acme-bad", {"bad": "acme_bad.plugin"}, {"acme_bad/plugin.py": plugin, **files}, version="2.5"
    )

    assert registry.handler("good").__name__ == "GoodIOHandler"
    assert "bad" in [provided.spec.name for provided in registry.handlers()]
    with pytest.raises(PluginLoadError, match=r"acme-bad 2\.5.*plugin 'bad'") as caught:
        registry.handler("bad")
    assert text in str(caught.value)
    assert caught.value.__cause__ is None if cause is None else isinstance(caught.value.__cause__, cause)
    registry.load_all(targets=True)
    warnings = {item.entry_point: item.warnings for item in registry.plugins()}
    assert warnings["good"] == ()
    assert warnings["bad"] == (str(caught.value),)


@pytest.fixture
def interruptible():
    """Workers of pytest-xdist ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


INTERRUPTED = """
import signal

import acme_slow
from rivers_core.hooks import HandlerSpec, hookimpl

def once():
    if not hasattr(acme_slow, "again"):
        acme_slow.again = True
        signal.raise_signal(signal.SIGINT)

{at_import}
@hookimpl
def rivers_io_handlers():
    yield HandlerSpec("slow", "acme_slow.handler:Slow")
    once()
"""


@pytest.mark.parametrize("at_import", ["", "once()"])
def test_interrupt_propagates_and_load_is_repeatable(at_import, fake_distribution, registry, interruptible):
    source = INTERRUPTED.format(at_import=at_import)
    fake_distribution("acme-slow", {"slow": "acme_slow.plugin"}, {"acme_slow/plugin.py": source})
    with pytest.raises(KeyboardInterrupt):
        registry.handler_spec("slow")
    assert registry.handler("good")
    assert registry.handler_spec("slow").distribution == "acme-slow"


def test_unknown_name_mentions_broken_plugins(fake_distribution, registry):
    fake_distribution(
        "acme-bad", {"other": "acme_bad.plugin"}, {"acme_bad/plugin.py": "raise RuntimeError('no license')"}
    )
    with pytest.raises(LookupError, match=r"IO handler 'bad'.*acme-bad 1\.0.*no license") as caught:
        registry.handler("bad")
    assert isinstance(caught.value.__cause__, PluginLoadError)


def test_broken_plugin_does_not_hide_other_provider(fake_distribution, install_handler):
    fake_distribution("acme-bad", {"yaml": "acme_bad.plugin"}, {"acme_bad/plugin.py": "1 / 0"})
    install_handler("acme-good", "yaml")
    assert PluginRegistry().handler("yaml").__module__ == "acme_good.handler"
    with pytest.raises(PluginLoadError, match="acme-bad"):
        PluginRegistry().handler("acme-bad:yaml")


@pytest.mark.parametrize("hook", ["rivers_io_handlers", "rivers_run_start"])
def test_plugin_may_import_hook_specification(hook, fake_distribution):
    source = f"from rivers_core.hooks import {hook}\n"
    fake_distribution("acme-odd", {"odd": "acme_odd"}, {"acme_odd.py": source}, announces=["observers"])
    registry = PluginRegistry(strict=True)
    registry.load_all()
    assert Observers.of(registry).run_start == ()


def test_register_rejects_unmarked_hook():
    class Watcher:
        def rivers_run_start(self):
            pass

    registry = PluginRegistry(entry_points=[])
    with pytest.raises(PluginLoadError, match="rivers_run_start is not marked"):
        registry.register(Watcher(), "watcher")
    assert registry.plugins() == []


def test_plugin_may_yield_as_many_records_as_the_limit(fake_distribution):
    source = GOOD_HEAD + (
        "@hookimpl\ndef rivers_io_handlers():\n"
        f"    yield from (HandlerSpec(f'many{{number}}', 'a:B') for number in range({MAX_RECORDS}))"
    )
    fake_distribution("acme-many", {"many": "acme_many"}, {"acme_many.py": source})
    assert PluginRegistry().handler_spec("many999")


@pytest.mark.parametrize("kind", ["handlers", "executors"])
def test_record_of_newer_core_names_pip_command(kind, fake_distribution):
    spec = {"handlers": "HandlerSpec", "executors": "ExecutorSpec"}[kind]
    hook = {"handlers": "rivers_io_handlers", "executors": "rivers_executors"}[kind]
    source = GOOD_HEAD + (
        f"@hookimpl\ndef {hook}():\n"
        f"    yield {spec}('newer', 'no_such_module:Newer', api_version={API_VERSION + 1})\n"
        f"    yield {spec}('equal', 'collections:OrderedDict', api_version={API_VERSION})"
    )
    fake_distribution("acme-newer", {"newer": "acme_newer", "equal": "acme_newer"}, {"acme_newer.py": source})
    registry = PluginRegistry()
    find = registry.handler if kind == "handlers" else registry.executor
    with pytest.raises(PluginLoadError, match=r"'newer' of acme-newer 1\.0.* pip install -U rivers-core$"):
        find("newer")
    if kind == "executors":
        assert find("equal").__name__ == "OrderedDict"
    registry.load_all(targets=True)
    assert any("pip install -U rivers-core" in text for item in registry.plugins() for text in item.warnings)


MISSING_MODULES = {
    "named like the requirement": (
        "polar_engine.io",
        "Requires-Dist: other\nRequires-Dist: Polar.Engine (>=2)\n",
        "pip install 'Polar.Engine>=2'",
    ),
    "part of the requirement's name": (
        "polar.engine.io",
        "Requires-Dist: polar-engine\n",
        "pip install polar-engine",
    ),
    "an extra": (
        "polar_engine",
        "Provides-Extra: fast\nRequires-Dist: polar-engine>=2 ; extra == 'fast'\n",
        "pip install 'acme-bad[fast]'",
    ),
    "named differently": (
        "polarlib",
        "Requires-Dist: pluggy\nRequires-Dist: polar-engine>=2\nRequires-Dist: tools; extra == 'dev'\n",
        "pip install 'polar-engine>=2'",
    ),
    "installed without the module": (
        "pluggy.no_such_module",
        "Requires-Dist: pluggy>=99\n",
        "pip install -U 'pluggy>=99'",
    ),
    "not declared": ("polar_engine", "Requires-Dist: pluggy\n", "does not declare"),
}


@pytest.mark.parametrize("case", MISSING_MODULES)
@pytest.mark.parametrize("place", ["plugin", "handler"])
def test_missing_dependency_names_pip_command(case, place, fake_distribution):
    module, metadata, text = MISSING_MODULES[case]
    plugin = GOOD_HEAD + (
        "@hookimpl\ndef rivers_io_handlers():\n    yield HandlerSpec('bad', 'acme_bad.handler:BadIOHandler')"
    )
    files = {"acme_bad/plugin.py": plugin, "acme_bad/handler.py": ""}
    files[f"acme_bad/{place}.py"] = f"import {module}\n{files[f'acme_bad/{place}.py']}"
    fake_distribution("acme-bad", {"bad": "acme_bad.plugin"}, files, metadata=metadata)
    registry = PluginRegistry()
    with pytest.raises(PluginLoadError) as caught:
        registry.handler("bad")
    assert "acme-bad 1.0" in str(caught.value)
    assert module.partition(".")[0] in str(caught.value)
    assert text in str(caught.value)
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
