from __future__ import annotations

import functools
import importlib
import inspect
import sys
from typing import TYPE_CHECKING, Annotated, Any

import pytest

from rivers import Asset, AssetExecutionContext, SelfDependency, Task, TaskExecutionContext
from rivers.exceptions import AssetDefinitionError, TaskDefinitionError

if TYPE_CHECKING:
    import fractions
    import os.path
    import xml.etree.ElementTree as ET
    from fractions import Fraction

    from elsewhere import Frame


class Settings:
    limit: int = 3


@Asset
def everything(
    context: AssetExecutionContext[Settings], self: SelfDependency[Later], raw: Later, scale: float = 2.0
) -> Later:
    return raw


class Later:
    pass


def test_signature_classifies_parameters():
    signature = everything.signature
    assert (signature.context_parameter, signature.context_type) == ("context", AssetExecutionContext)
    assert signature.config_type is Settings
    assert (signature.self_parameter, signature.self_dependency) == ("self", Later)
    assert [(p.name, p.hint, p.has_default, p.default) for p in signature.parameters] == [
        ("raw", Later, False, None),
        ("scale", float, True, 2.0),
    ]
    assert signature.return_hint is Later
    assert signature.unresolved == ()


def test_signature_is_cached():
    assert everything.signature is everything.signature


def test_unresolved_hint_is_any():
    @Asset
    def frame(a: Frame, b: int) -> Frame:
        return a

    signature = frame.signature
    assert [p.hint for p in signature.parameters] == [Any, int]
    assert signature.return_hint is Any
    assert signature.unresolved == ("Frame", "Frame")


def test_hint_behind_type_checking_is_resolved():
    @Asset
    def typed(
        context: AssetExecutionContext,
        self: SelfDependency[Fraction],
        a: dict[str, fractions.Fraction],
        b: ET.Element,
    ) -> list[Fraction] | os.path.NotThere: ...

    signature = typed.signature
    from fractions import Fraction as Expected
    from xml.etree.ElementTree import Element

    assert signature.self_dependency is Expected
    assert [p.hint for p in signature.parameters] == [dict[str, Expected], Element]
    assert signature.unresolved == ("list[Fraction] | os.path.NotThere",)


def test_hint_behind_type_checking_of_relative_import(tmp_path, monkeypatch):
    package = tmp_path / "guarded_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "types.py").write_text("class Table: ...\nfrom guarded_package.assets import table\n")
    (package / "assets.py").write_text(
        "from __future__ import annotations\nimport typing\nfrom rivers import Asset\n"
        "if typing.TYPE_CHECKING:\n    from . import types\n    from .types import Table as Rows\n"
        "@Asset\ndef table(a: types.Table) -> Rows: ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    signature = importlib.import_module("guarded_package.assets").table.signature
    table = sys.modules["guarded_package.types"].Table
    assert (signature.parameters[0].hint, signature.return_hint) == (table, table)


def test_missing_annotation_is_any():
    signature = Asset(lambda a, b=1: a, name="x").signature
    assert [p.hint for p in signature.parameters] == [Any, Any]
    assert signature.return_hint is Any
    assert signature.self_dependency is None
    assert signature.config_type is None


def test_context_and_self_dependency_without_argument():
    @Asset
    def bare(context: AssetExecutionContext, self: SelfDependency) -> None: ...

    assert bare.signature.config_type is None
    assert bare.signature.self_dependency is Any
    assert bare.signature.return_hint is type(None)


def test_hint_of_local_class_is_resolved():
    class Local:
        pass

    @Asset
    def typed(context: AssetExecutionContext[Local], value: Local) -> list[Local]:
        return [value]

    assert typed.signature.config_type is Local
    assert typed.signature.parameters[0].hint is Local
    assert typed.signature.return_hint == list[Local]


def test_text_hints_resolve_to_classes_and_other_types():
    int = Later  # noqa: A001 - hides the builtin class

    @Asset
    def typed(a: int, b: pytest.Item, c: float, d: pytest.missing, e: str | None = None) -> None: ...

    signature = typed.signature
    assert [parameter.hint for parameter in signature.parameters] == [
        int,
        pytest.Item,
        float,
        Any,
        str | None,
    ]
    assert (signature.return_hint, signature.unresolved) == (type(None), ("pytest.missing",))


def test_signature_keeps_kinds_and_defaults():
    def function(a, /, b, c=3, *rest, d, e=5, **options): ...

    def ordinary(a, b=None, c=3): ...

    for each in (function, ordinary):
        expected = inspect.signature(each).parameters.values()
        assert [
            (spec.name, spec.kind, spec.has_default, spec.default)
            for spec in Asset(each).signature.parameters
        ] == [
            (
                item.name,
                item.kind,
                item.default is not item.empty,
                None if item.default is item.empty else item.default,
            )
            for item in expected
        ]


def test_annotated_hint_keeps_extras():
    @Asset
    def typed(value: Annotated[int, "rows"]) -> None: ...

    assert typed.signature.parameters[0].hint == Annotated[int, "rows"]


def test_unresolved_context_is_recognized_by_name():
    def function(context: missing.AssetExecutionContext[Settings]) -> None: ...  # noqa: F821

    signature = Asset(function).signature
    assert signature.context_parameter == "context"
    assert signature.config_type is Settings


def test_signature_of_partial_and_callable():
    class Callable:
        async def __call__(self, a: int) -> str:
            return str(a)

    asset = Asset(functools.partial(lambda a, b: a + b, b=2), name="p")
    called = Asset(Callable(), name="c")
    assert [p.name for p in asset.signature.parameters] == ["a", "b"]
    assert called.is_async
    assert called.signature.parameters[0].hint is int


def test_signature_follows_wrapped_function():
    def logged(function):
        @functools.wraps(function)
        def inner(*args, **kwargs):
            return function(*args, **kwargs)

        return inner

    @Asset
    @logged
    def plain(raw: Later) -> Later:
        return raw

    assert plain.signature.parameters[0].hint is Later


def test_task_accepts_either_context():
    @Task
    def job(context: TaskExecutionContext[Settings], a: int) -> int:
        return a

    @Task
    def ported(context: AssetExecutionContext[Settings]) -> None: ...

    assert (job.signature.context_type, job.signature.config_type) == (TaskExecutionContext, Settings)
    assert (ported.signature.context_type, ported.signature.config_type) == (AssetExecutionContext, Settings)
    with pytest.raises(AssetDefinitionError, match="Asset 'wrong'.*AssetExecutionContext"):

        @Asset
        def wrong(context: TaskExecutionContext) -> None: ...

    with pytest.raises(TaskDefinitionError, match="'self'.*SelfDependency"):

        @Task
        def own(self: SelfDependency[int]) -> None: ...


def test_aliased_context_is_checked_late():
    alias = AssetExecutionContext[Settings]

    def function(raw, context: alias): ...

    with pytest.raises(AssetDefinitionError, match="first parameter"):
        _ = Asset(function, name="late").signature


def make():
    class Row: ...

    @Asset
    def rows() -> Row: ...

    return rows, Row


def define():
    class Row: ...

    class Holder:
        @Asset
        def rows(self) -> Row: ...

    return Holder.rows, Row


@pytest.mark.parametrize("factory", [make, define])
def test_hint_resolves_enclosing_local_names(factory):
    rows, row = factory()
    assert rows.signature.return_hint is row
