"""Installed plugins that fail in every way: runs without them work, their cause is shown, and denied ones stay out."""

from __future__ import annotations

import builtins
import json
import logging
import sys
import threading
import warnings

import pytest

import rivers as rs
from rivers.execution.observers import Observers
from rivers_core.exceptions import PluginLoadError, RiversError
from rivers_core.plugins import PluginRegistry, registry

HEAD = "from rivers_core.hooks import ExecutorSpec, HandlerSpec, hookimpl\n"
HOOK = HEAD + "@hookimpl\ndef rivers_io_handlers():\n    "
WORKING = HOOK + "yield HandlerSpec('bad', 'acme_bad.handler:Bad')\n"
CLASS = "from rivers_core import BaseIOHandler\n"
METHODS = "    def handle_output(self, context, obj): pass\n    def load_input(self, context): pass\n"

IMPORTS = {
    "missing module": ("import no_such_module", "no_such_module"),
    "syntax error": ("def broken(:", "SyntaxError"),
    "tabs and spaces": ("if True:\n\tx = 1\n        y = 2", "Error"),
    "unknown codec": ("# coding: no-such-codec\n", "no-such-codec"),
    "null bytes": ("x = 1\x00", "null bytes"),
    "runtime error": ("raise RuntimeError('no license')", "no license"),
    "assertion without text": ("assert False", "AssertionError"),
    "system exit": ("raise SystemExit('goodbye')", "goodbye"),
    "interrupt that nobody sent": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "panic": ("class Panic(BaseException): pass\nraise Panic('unwrap')", "unwrap"),
    "stop iteration": ("raise StopIteration('no more')", "no more"),
    "group of errors": ("raise ExceptionGroup('two', [OSError('a'), OSError('b')])", "two"),
    "recursion": ("def again(): again()\nagain()", "recursion"),
    "out of memory": ("raise MemoryError('40 GB')", "40 GB"),
    "error without text": (
        "class Mute(Exception):\n    def __str__(self): raise ValueError('mute')\nraise Mute",
        "Mute",
    ),
    "error whose text is a number": (
        "class Odd(Exception):\n    def __str__(self): return 3\nraise Odd",
        "Odd",
    ),
    "text that no terminal has": ("raise OSError('half \\udcff of a character')", "half"),
    "terminal codes": ("raise OSError('\\x1b[2J\\x1b]0;owned\\x07cleared')", "cleared"),
    "text of 5 MB": ("raise OSError('long' * 1_250_000)", "long"),
    "warnings as errors": ("import warnings\nwarnings.simplefilter('error')\nwarnings.warn('outdated')", "outdated"),
    "much output": ("print('noise ' * 200_000)\nraise OSError('after noise')", "after noise"),
    "thread": (
        "import threading\nthreading.Thread(target=lambda: None, daemon=True).start()\nraise OSError('after thread')",
        "after thread",
    ),
    "replaced function of the library": (
        "import json\njson.loads = lambda text: 'owned'\nraise OSError('after patch')",
        "after patch",
    ),
    "replaced built-in": ("import builtins\nbuiltins.print = None\nraise OSError('without print')", "without print"),
    "circular import": ("from acme_bad.plugin import hooks", "hooks"),
    "removes itself": ("import sys\ndel sys.modules[__name__]", "acme_bad"),
}  # fmt: skip
HOOKS = {
    "yields a tuple": (HOOK + "yield 'bad', 'acme_bad.handler:Bad'", "tuple"),
    "yields another record": (HOOK + "yield ExecutorSpec('bad', 'acme_bad.handler:Bad')", "ExecutorSpec"),
    "yields an object that lies": (
        "class Liar:\n    @property\n    def __class__(self): raise OSError('who asks')\n" + HOOK + "yield Liar()",
        "who asks",
    ),
    "returns one record": (HOOK + "return HandlerSpec('bad', 'acme_bad.handler:Bad')", "HandlerSpec"),
    "returns nothing": (HOOK + "return 3", "rivers_io_handlers"),
    "name that is not text": (HOOK + "yield HandlerSpec(3, 'acme_bad.handler:Bad')", "3"),
    "same name twice": (HOOK + "yield HandlerSpec('bad', 'a:B')\n    yield HandlerSpec('bad', 'a:C')", "twice"),
    "endless records": (HOOK + "while True: yield HandlerSpec('bad', 'a:B')", "bad"),
    "raises while yielding": (HOOK + "yield HandlerSpec('bad', 'a:B')\n    raise OSError('no driver')", "no driver"),
    "exits while yielding": (HOOK + "yield HandlerSpec('bad', 'a:B')\n    raise SystemExit('bye')", "bye"),
    "malformed target": (HOOK + "yield HandlerSpec('bad', 'acme_bad')", "acme_bad"),
    "misspelled hook": (WORKING.replace("rivers_io_handlers", "rivers_io_handler"), "rivers_io_handlers"),
    "hook that is not marked": (WORKING.replace("@hookimpl\n", ""), "hookimpl"),
    "hook with an unknown argument": (WORKING.replace("handlers()", "handlers(app)"), "app"),
    "wrapper": (WORKING.replace("@hookimpl", "@hookimpl(wrapper=True)"), "rivers_io_handlers"),
    "record of a newer core": (HOOK + "yield HandlerSpec('bad', 'a:B', color='red')", "color"),
    "newer contract": (HOOK + "yield HandlerSpec('bad', 'a:B', api_version=99)", "pip install -U rivers-core"),
}  # fmt: skip
TARGETS = {
    "module not found": ("", "acme_bad.handler"),
    "class not found": ("x = 1", "Bad"),
    "module that raises": ("1 / 0", "division by zero"),
    "module that exits": ("raise SystemExit(3)", "SystemExit"),
    "class that is not a handler": ("class Bad: pass", "not a subclass"),
    "function": ("def Bad(): pass", "not a class"),
    "method that is missing": (
        CLASS + "class Bad(BaseIOHandler):\n    def load_input(self, context): pass", "handle_output"
    ),
    "arguments in another order": (
        CLASS + "class Bad(BaseIOHandler):\n" + METHODS.replace("context, obj", "obj, context"),
        "must take",
    ),
    "class whose attributes raise": (
        CLASS + "class Meta(type(BaseIOHandler)):\n    def __getattribute__(cls, name):\n"
        "        if name == 'handle_output': raise OSError('no attributes')\n"
        "        return super().__getattribute__(name)\n"
        "class Bad(BaseIOHandler, metaclass=Meta):\n" + METHODS,
        "Bad",
    ),
}  # fmt: skip
PLUGINS = {
    **{f"import: {name}": ({"plugin": source}, text) for name, (source, text) in IMPORTS.items()},
    **{f"hook: {name}": ({"plugin": source}, text) for name, (source, text) in HOOKS.items()},
    **{
        f"target: {name}": ({"plugin": WORKING, **({"handler": source} if source else {})}, text)
        for name, (source, text) in TARGETS.items()
    },
}


@pytest.fixture
def install(fake_distribution, monkeypatch):
    """Install a plugin, announced as an observer as well; what it does to this process is undone."""
    monkeypatch.setattr(json, "loads", json.loads)
    monkeypatch.setattr(builtins, "print", print)
    monkeypatch.setattr(registry, "_registry", None)

    def installed(name, announces=("observers",)):
        files, text = PLUGINS[name]
        fake_distribution(
            "acme-bad",
            {"bad": "acme_bad.plugin"},
            {f"acme_bad/{module}.py": source for module, source in files.items()},
            announces=announces,
        )
        return text

    with warnings.catch_warnings():
        yield installed
    for module in [name for name in sys.modules if name.startswith("acme_bad")]:
        del sys.modules[module]
    for thread in threading.enumerate():
        if thread.name.startswith("Thread-") and thread.daemon:
            thread.join(1)


@rs.Asset(io_handler="memory")
def numbers() -> list[int]:
    return [1, 2, 3]


@rs.Asset(io_handler="memory")
def total(numbers: list[int]) -> int:
    return sum(numbers)


def test_there_are_forty_plugins():
    assert len(PLUGINS) >= 40


@pytest.mark.parametrize("name", PLUGINS)
def test_run_without_the_plugin_works(name, install):
    install(name)
    with rs.CodeRepository([numbers, total], config=False) as repo:
        assert repo.materialize().success
        assert repo.load_node("total") == 6


@pytest.mark.parametrize("name", PLUGINS)
def test_cause_is_shown(name, install):
    text = install(name, announces=())
    plugins = PluginRegistry()
    with pytest.raises((PluginLoadError, RiversError)) as caught:
        plugins.handler("bad")
    plugins.load_all(targets=True)
    (status,) = (item for item in plugins.plugins() if item.distribution == "acme-bad")
    shown = " ".join([str(status.error), *status.warnings])
    for message in (str(caught.value), shown):
        assert text in message
        assert len(message) < 10_000
        assert message.isprintable()
    assert "acme-bad" in str(caught.value)


@pytest.mark.parametrize("name", PLUGINS)
def test_denied_plugin_is_never_imported(name, install, caplog):
    install(name)
    caplog.set_level(logging.DEBUG)
    denied = PluginRegistry().with_policy(deny=["acme-*"])
    with pytest.raises(RiversError, match="deny"):
        denied.handler("bad")
    denied.load_all(targets=True)
    Observers.of(denied)
    assert not [module for module in sys.modules if module.startswith("acme_bad")]
    states = {item.distribution: item.state for item in denied.plugins()}
    assert states["acme-bad"] == "denied"
