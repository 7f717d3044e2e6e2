from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import rivers_core
from rivers_core import authoring, config, plugins
from rivers_core.exceptions import RiversError

LAZY_MODULES = [rivers_core, authoring, config, plugins]


def type_checking_imports(tree):
    block = next(
        node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    return {alias.asname for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}


def is_documented_constant(name):
    """Return True if a string literal follows the assignment of the constant in its module."""
    calls = (node for node in ast.walk(ast.parse(inspect.getsource(authoring))) if isinstance(node, ast.Dict))
    names = ast.literal_eval(next(calls))
    module = import_module(next(module for module in names if name in names[module]))
    body = ast.parse(inspect.getsource(module)).body
    index = next(i for i, node in enumerate(body) if ast.unparse(node).startswith((f"{name}:", f"{name} =")))
    return isinstance(body[index + 1], ast.Expr) and isinstance(body[index + 1].value, ast.Constant)


@pytest.mark.parametrize("name", authoring.__all__)
def test_authoring_name_is_importable_and_documented(name):
    value = getattr(authoring, name)

    assert name in dir(authoring)
    if inspect.isfunction(value) or inspect.isclass(value):
        assert inspect.getdoc(value)
        assert value.__doc__.strip()
    else:
        assert is_documented_constant(name)


def test_authoring_names_are_in_reference():
    page = Path(__file__).parents[2] / "docs" / "reference" / "core.md"
    assert {f"- {name}" for name in authoring.__all__} <= set(map(str.strip, page.read_text().splitlines()))


@pytest.mark.parametrize("module", LAZY_MODULES, ids=lambda module: module.__name__)
def test_lazy_exports_agree_with_type_checking_imports(module):
    tree = ast.parse(Path(module.__file__).read_text())
    imported = {
        alias.asname for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }

    assert set(module.__all__) == (type_checking_imports(tree) | imported) - {None}


def test_authoring_import_loads_nothing_heavy():
    names = "{'pydantic', 'pluggy', 'asyncio'} & set(sys.modules)"
    code = f"import sys; from rivers_core.authoring import hint_classes, did_you_mean; print(*{names})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout.split() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("is_used", [False, True])
def test_fork_guard_refuses_library_used_before_fork(is_used):
    guard = authoring.ForkGuard("some library")
    if is_used:
        guard.enter()
    child = os.fork()
    if not child:
        try:
            guard.enter()
        except RiversError as error:
            os._exit(7 if "spawn" in str(error) and "some library" in str(error) else 1)
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == (7 if is_used else 0)
    if is_used:
        guard.enter()
