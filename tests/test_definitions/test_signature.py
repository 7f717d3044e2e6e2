from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated, Any

import pytest

from rivers.definitions import Asset, AssetExecutionContext, SelfDependency, Task, TaskExecutionContext
from rivers.exceptions import AssetDefinitionError, TaskDefinitionError

if TYPE_CHECKING:
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


def test_each_parameter_is_told_by_its_meaning():
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


def test_the_signature_is_read_once():
    assert everything.signature is everything.signature


def test_hints_that_name_nothing_are_any_and_spoil_no_other():
    @Asset
    def frame(a: Frame, b: int) -> Frame:
        return a

    signature = frame.signature
    assert [p.hint for p in signature.parameters] == [Any, int]
    assert signature.return_hint is Any
    assert signature.unresolved == ("Frame", "Frame")


def test_without_annotations_everything_is_any():
    signature = Asset(lambda a, b=1: a, name="x").signature
    assert [p.hint for p in signature.parameters] == [Any, Any]
    assert signature.return_hint is Any
    assert signature.self_dependency is None
    assert signature.config_type is None


def test_bare_context_and_own_value():
    @Asset
    def bare(context: AssetExecutionContext, self: SelfDependency) -> None: ...

    assert bare.signature.config_type is None
    assert bare.signature.self_dependency is Any
    assert bare.signature.return_hint is type(None)


def test_a_class_local_to_a_function_is_found():
    class Local:
        pass

    @Asset
    def typed(context: AssetExecutionContext[Local], value: Local) -> list[Local]:
        return [value]

    assert typed.signature.config_type is Local
    assert typed.signature.parameters[0].hint is Local
    assert typed.signature.return_hint == list[Local]


def test_annotated_hints_keep_their_extras():
    @Asset
    def typed(value: Annotated[int, "rows"]) -> None: ...

    assert typed.signature.parameters[0].hint == Annotated[int, "rows"]


def test_a_context_that_cannot_be_imported_is_recognised_by_its_name():
    def function(context: missing.AssetExecutionContext[Settings]) -> None: ...  # noqa: F821

    signature = Asset(function).signature
    assert signature.context_parameter == "context"
    assert signature.config_type is Settings


def test_partials_and_callable_objects_have_signatures():
    class Callable:
        async def __call__(self, a: int) -> str:
            return str(a)

    made = Asset(functools.partial(lambda a, b: a + b, b=2), name="p")
    called = Asset(Callable(), name="c")
    assert [p.name for p in made.signature.parameters] == ["a", "b"]
    assert called.is_async
    assert called.signature.parameters[0].hint is int


def test_a_decorated_function_shows_the_parameters_of_the_inner_one():
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


def test_a_task_takes_its_own_context():
    @Task
    def job(context: TaskExecutionContext[Settings], a: int) -> int:
        return a

    assert job.signature.context_type is TaskExecutionContext
    assert job.signature.config_type is Settings
    with pytest.raises(TaskDefinitionError, match="Task 'wrong'.*write TaskExecutionContext"):

        @Task
        def wrong(context: AssetExecutionContext) -> None: ...

    with pytest.raises(TaskDefinitionError, match="only assets have one"):

        @Task
        def own(self: SelfDependency[int]) -> None: ...


def test_a_context_behind_an_alias_is_refused_when_the_signature_is_read():
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
def test_a_hint_names_what_is_local_whatever_the_function_around_is_called(factory):
    rows, row = factory()
    assert rows.signature.return_hint is row
