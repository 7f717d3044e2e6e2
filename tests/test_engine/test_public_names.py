"""Public names of `rivers`, and the modules that importing and running load, each in a separate process."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = [
    "pydantic_settings",
    "obstore",
    "deltalake",
    "polars",
    "pyarrow",
    "pandas",
    "loky",
    "cloudpickle",
    "typer",
    "rich",
]

PIPELINE = """
import rivers as rs

@rs.Asset
def a() -> int:
    return 1

@rs.Asset
def b(a: int) -> int:
    return a + 1

repo = rs.CodeRepository([a, b], config=False)
repo.materialize()
assert repo.load_node("b") == 2
"""


def loaded_after(program: str) -> set[str]:
    program += f"\nimport json, sys\nprint(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(result.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("program", "allowed"),
    [
        ("import rivers as rs", set()),
        ("import rivers as rs; rs.PartitionKey; rs.MetadataValue; rs.Output; rs.exceptions", set()),
        ("import rivers as rs; rs.Asset(lambda: 1, name='a')", set()),
        (PIPELINE, {"pydantic_settings"}),
        (
            PIPELINE + "\nfrom rivers_core.plugins import get_registry\nget_registry().handlers()",
            {"pydantic_settings"},
        ),
    ],
)
def test_import_loads_nothing_heavy(program, allowed):
    assert loaded_after(program) <= allowed


def test_all_public_names_resolve():
    program = "import rivers as rs\nfor name in rs.__all__: getattr(rs, name)\nprint(len(rs.__all__))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(result.stdout) >= 40


def test_unknown_public_name_is_attribute_error():
    import rivers as rs

    with pytest.raises(AttributeError, match="no attribute 'Assett'"):
        _ = rs.Assett


def test_handler_classes_come_from_plugins():
    import rivers as rs
    from rivers_core.plugins import get_registry

    assert rs.PickleIOHandler is get_registry().handler("pickle")
    assert rs.InMemoryIOHandler is get_registry().handler("memory")


def test_unknown_handler_class_is_attribute_error():
    import rivers as rs

    with pytest.raises(AttributeError, match="FeatherIOHandler"):
        _ = rs.FeatherIOHandler


def test_type_checkers_see_all_public_names():
    import rivers as rs

    tree = ast.parse(Path(rs.__file__).read_text(encoding="utf-8"))
    imported = {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("rivers")
        for alias in node.names
    }
    # and the handlers of this checkout, which are not exported by `*`, so that this works without their packages
    assert imported - {None} == set(dir(rs)) - {"__version__"}
    assert rs.__all__ == sorted(rs.__all__)
    literal = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id == "__all__"
    )
    assert literal == rs.__all__
    assert set(literal) == {name for name in imported if name and not name.endswith("IOHandler")} | {
        "BaseIOHandler"
    }


def test_typing_suite_uses_every_public_name():
    import rivers as rs

    suite = Path(__file__).parents[1] / "typing"
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in suite.glob("*.py"))
    used = {
        node.attr
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "rs"
    }
    assert set(dir(rs)) - {"__version__"} <= used


def test_dir_lists_public_names_and_handler_classes():
    import rivers as rs

    names = dir(rs)
    assert set(rs.__all__) <= set(names)
    assert {"PickleIOHandler", "InMemoryIOHandler"} <= set(names)
    assert "importlib" not in names
