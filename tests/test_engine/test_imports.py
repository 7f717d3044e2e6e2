"""What importing and running must not load; each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

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
def test_nothing_heavy_is_loaded_before_it_is_used(program, allowed):
    assert loaded_after(program) <= allowed


def test_every_public_name_is_there():
    program = "import rivers as rs\nfor name in rs.__all__: getattr(rs, name)\nprint(len(rs.__all__))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(result.stdout) >= 40


def test_an_unknown_name_is_an_attribute_error():
    import rivers as rs

    with pytest.raises(AttributeError, match="no attribute 'Assett'"):
        _ = rs.Assett


def test_handler_classes_come_from_whatever_is_installed():
    import rivers as rs
    from rivers_core.plugins import get_registry

    assert rs.PickleIOHandler is get_registry().handler("pickle")
    assert rs.InMemoryIOHandler is get_registry().handler("memory")


def test_a_handler_class_that_nobody_provides_says_what_to_do():
    import rivers as rs

    with pytest.raises(AttributeError, match="FeatherIOHandler"):
        _ = rs.FeatherIOHandler
