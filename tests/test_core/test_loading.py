"""Loading: a broken plugin affects only those who use it, and is reported with its distribution."""

from __future__ import annotations

import pytest

from rivers_core.exceptions import PluginLoadError
from rivers_core.plugins import PluginRegistry

GOOD_HEAD = "from rivers_core.hooks import ExecutorSpec, HandlerSpec, hookimpl\n"

BROKEN_MODULES = {
    "import error": ("import a_module_that_is_not_there", ModuleNotFoundError, "a_module_that_is_not_there"),
    "syntax error": ("def broken(:", SyntaxError, "invalid syntax"),
    "runtime error": ("raise RuntimeError('no licence found')", RuntimeError, "no licence found"),
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
    "a panic that is no Exception": (
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


def test_two_entry_points_of_one_module_are_one_plugin(install):
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


@pytest.mark.parametrize("case", BROKEN_MODULES)
def test_broken_plugin_is_reported_and_affects_no_other(case, install, registry):
    source, cause, text = BROKEN_MODULES[case]
    install("acme-bad", {"bad": "acme_bad.plugin"}, {"acme_bad/plugin.py": source}, version="2.5")

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
    assert registry.observers().output_stored == ()
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
    "it is no handler": ({"acme_bad/handler.py": "class BadIOHandler: pass"}, None, "not a subclass of"),
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
}


@pytest.mark.parametrize("case", BROKEN_TARGETS)
def test_broken_target_is_reported_on_use(case, install, registry):
    files, cause, text = BROKEN_TARGETS[case]
    plugin = GOOD_HEAD + (
        "@hookimpl\ndef rivers_io_handlers():\n    yield HandlerSpec('bad', 'acme_bad.handler:BadIOHandler')"
    )
    install("acme-bad", {"bad": "acme_bad.plugin"}, {"acme_bad/plugin.py": plugin, **files}, version="2.5")

    assert registry.handler("good").__name__ == "GoodIOHandler"
    assert "bad" in [provided.spec.name for provided in registry.handlers()]
    with pytest.raises(PluginLoadError, match=r"acme-bad 2\.5.*plugin 'bad'") as caught:
        registry.handler("bad")
    assert text in str(caught.value)
    assert caught.value.__cause__ is None if cause is None else isinstance(caught.value.__cause__, cause)


INTERRUPTED = """
import acme_slow
from rivers_core.hooks import HandlerSpec, hookimpl

def once():
    if not hasattr(acme_slow, "again"):
        acme_slow.again = True
        raise KeyboardInterrupt

{at_import}
@hookimpl
def rivers_io_handlers():
    yield HandlerSpec("slow", "acme_slow.handler:Slow")
    once()
"""


@pytest.mark.parametrize("at_import", ["", "once()"])
def test_keyboard_interrupt_propagates_and_load_is_repeatable(at_import, install, registry):
    source = INTERRUPTED.format(at_import=at_import)
    install("acme-slow", {"slow": "acme_slow.plugin"}, {"acme_slow/plugin.py": source})
    with pytest.raises(KeyboardInterrupt):
        registry.handler_spec("slow")
    assert registry.handler("good")
    assert registry.handler_spec("slow").distribution == "acme-slow"


def test_unknown_name_mentions_broken_plugins(install, registry):
    install(
        "acme-bad", {"other": "acme_bad.plugin"}, {"acme_bad/plugin.py": "raise RuntimeError('no licence')"}
    )
    with pytest.raises(LookupError, match=r"IO handler 'bad'.*acme-bad 1\.0.*no licence") as caught:
        registry.handler("bad")
    assert isinstance(caught.value.__cause__, PluginLoadError)


def test_broken_plugin_does_not_hide_other_provider(install, install_handler):
    install("acme-bad", {"json": "acme_bad.plugin"}, {"acme_bad/plugin.py": "1 / 0"})
    install_handler("acme-good", "json")
    assert PluginRegistry().handler("json").__module__ == "acme_good.handler"
    with pytest.raises(PluginLoadError, match="acme-bad"):
        PluginRegistry().handler("acme-bad:json")
