"""Callables that can be assets: functions, builtins, partials, wrappers and objects."""

from __future__ import annotations

import contextvars
import functools
import pickle
import sys
import types
import unicodedata

import pytest
from pydantic import PrivateAttr

import rivers as rs


@rs.Asset
def numbers() -> list[int]:
    return [1, 2, 3]


class Scale:
    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __call__(self, numbers: list[int]) -> list[int]:
        return [self.factor * number for number in numbers]

    def method(self, numbers: list[int]) -> list[int]:
        return self(numbers)


def passed_on(function):
    @functools.wraps(function)
    def call(*args, **kwargs):
        return function(*args, **kwargs)

    return call


def add(numbers, amount):
    return [number + amount for number in numbers]


def positional(numbers, /, amount=1):
    return add(numbers, amount)


CALLABLES = {
    "object": (Scale(2), [2, 4, 6]),
    "bound_method": (Scale(3).method, [3, 6, 9]),
    "partial": (functools.partial(add, amount=1), [2, 3, 4]),
    "wrapped": (passed_on(lambda numbers: numbers[::-1]), [3, 2, 1]),
    "positional_only": (positional, [2, 3, 4]),
    "keyword_only": (lambda *, numbers: numbers, [1, 2, 3]),
    "variadic": (lambda numbers, *rest, **more: [len(rest), len(more)], [0, 0]),
}


@pytest.mark.parametrize("name", CALLABLES)
def test_asset_accepts_any_callable(repository, name):
    function, value = CALLABLES[name]
    repo = repository(numbers, rs.Asset(function, name=name))
    repo.materialize()
    assert repo.load_node(name) == value


def one_of_three(gross=100.0, /, numbers=(), *, rate=0.1):
    return gross, numbers, rate


def last_of_two(gross=100.0, numbers=(), /):
    return gross, numbers


def after_the_context(context: rs.AssetExecutionContext, gross=100.0, numbers=(), rate=0.1, /):
    return gross, numbers, rate


@pytest.mark.parametrize(
    ("function", "value"),
    [
        (one_of_three, (100.0, [1, 2, 3], 0.1)),
        (last_of_two, (100.0, [1, 2, 3])),
        (after_the_context, (100.0, [1, 2, 3], 0.1)),
    ],
)
def test_positional_only_parameter_gets_its_value(repository, function, value):
    repo = repository(numbers, rs.Asset(function))
    repo.materialize()
    assert repo.load_node(function.__name__) == value


def test_graph_body_accepts_positional_only_parameters(repository):
    total = rs.Task(sum, name="total")

    @rs.Asset.from_graph
    def answer(numbers, /):
        return total(numbers)

    repo = repository(numbers, answer)
    repo.materialize()
    assert repo.load_node("answer") == 6


def test_asset_accepts_builtin(repository):
    repo = repository(rs.Asset(lambda: [1, 2], name="obj"), rs.Asset(len, name="size"))
    repo.materialize()
    assert repo.load_node("size") == 2


@pytest.mark.parametrize("function", [functools.partial(add, amount=1), Scale(2)])
def test_asset_error_shows_callable_without_name(function):
    with pytest.raises(rs.exceptions.AssetDefinitionError, match=r"^Asset: .*(partial|Scale).*name="):
        rs.Asset(function)


def test_wrapped_async_function_is_awaited(repository):
    async def fetch(numbers: list[int]) -> int:
        return len(numbers)

    repo = repository(numbers, rs.Asset(passed_on(fetch)))
    repo.materialize()
    assert repo.load_node("fetch") == 3


def test_sync_wrapper_of_async_function_runs(repository):
    import asyncio

    async def fetch(numbers: list[int]) -> int:
        return len(numbers)

    @functools.wraps(fetch)
    def blocking(*args, **kwargs):
        return asyncio.run(fetch(*args, **kwargs))

    repo = repository(numbers, rs.Asset(blocking))
    repo.materialize()
    assert repo.load_node("fetch") == 3


class Fetch:
    async def __call__(self, numbers: list[int]) -> int:
        return len(numbers)


LATE = {
    "partial_of_an_object": functools.partial(Fetch()),
    "lambda": lambda numbers: Fetch()(numbers),
    "partial_of_a_lambda": functools.partial(lambda numbers, more: Fetch()(numbers), more=1),
}


@pytest.mark.parametrize("io_handler", [None, "late"])
@pytest.mark.parametrize("name", LATE)
def test_returned_coroutine_is_awaited(repository, name, io_handler):
    repo = repository(
        numbers, rs.Asset(LATE[name], name=name, io_handler=io_handler), resources={"late": LateIOHandler()}
    )
    repo.materialize()
    assert repo.load_node(name) == 3


def test_returned_coroutine_sees_contextvars(repository):
    tenant = contextvars.ContextVar("tenant", default="nobody")

    async def current():
        return tenant.get()

    repo = repository(rs.Asset(lambda: current(), name="who"))
    token = tenant.set("ada")
    try:
        repo.materialize()
    finally:
        tenant.reset(token)
    assert repo.load_node("who") == "ada"


def test_partial_of_async_callable_is_async():
    assert rs.Asset(functools.partial(Fetch()), name="fetch").is_async


class LateIOHandler(rs.BaseIOHandler):
    """An asynchronous handler, so that the steps that meet it run on an event loop."""

    _kept: dict = PrivateAttr(default_factory=dict)

    async def handle_output(self, context, obj):
        self._kept[context.storage_key] = obj

    async def load_input(self, context):
        return self._kept[context.storage_key]


def test_returned_coroutine_outputs_are_stored(repository):
    async def both():
        return {"left": 1, "right": 2}

    sides = rs.Asset.from_multi(
        lambda: both(), name="sides", output_defs=[rs.AssetDef("left"), rs.AssetDef("right")]
    )
    repo = repository(sides)
    repo.materialize()
    assert (repo.load_node("left"), repo.load_node("right")) == (1, 2)


def test_function_can_be_wrapped_twice(repository):
    count = [rs.Asset(lambda numbers: len(numbers), name=name) for name in ("first", "second")]
    repo = repository(numbers, *count)
    repo.materialize()
    assert repo.load_node("first") == repo.load_node("second") == 3


def test_repository_accepts_asset_listed_twice(repository):
    assert repository(numbers, numbers).materialize().materialized_assets == ["numbers"]


def test_asset_names_in_any_script(repository):
    repo = repository(rs.Asset(lambda: 1, name="naïve 数 🎉"))
    repo.materialize()
    assert repo.load_node("naïve 数 🎉") == 1


def test_repository_rejects_lookalike_names(repository):
    names = [unicodedata.normalize(form, "é") for form in ("NFC", "NFD")]
    with pytest.raises(rs.exceptions.GraphValidationError, match="look the same"):
        repository(*(rs.Asset(lambda: 1, name=name) for name in names)).validate()


def test_asset_defined_in_notebook_cell(repository):
    cell: dict[str, object] = {"__name__": "__main__"}
    exec(
        "from __future__ import annotations\n"
        "import rivers as rs\n"
        "class Table: pass\n"
        "@rs.Asset\n"
        "def table(context: rs.AssetExecutionContext) -> Table:\n"
        "    return Table()\n",
        cell,
    )
    repo = repository(cell["table"])
    repo.materialize()
    assert type(repo.load_node("table")) is cell["Table"]


def test_hook_is_pickled_by_reference(monkeypatch):
    module = types.ModuleType("house")
    exec("import rivers as rs\n@rs.Hook.failure\ndef page(context): pass\n", module.__dict__)
    monkeypatch.setitem(sys.modules, "house", module)
    assert pickle.loads(pickle.dumps(module.page)) is module.page


def test_repository_rejects_multi_asset_name_conflict(repository):
    several = rs.Asset.from_multi(
        lambda: {"a": 1, "b": 2}, name="numbers", output_defs=[rs.AssetDef("a"), rs.AssetDef("b")]
    )
    for assets in ((numbers, several), (several, numbers)):
        with pytest.raises(rs.exceptions.GraphValidationError, match="two assets are named 'numbers'"):
            repository(*assets).validate()


def test_unannotated_special_parameter_is_explained(repository):
    with pytest.raises(rs.exceptions.GraphValidationError, match="Annotate it as self: SelfDependency"):
        repository(rs.Asset(lambda self: 1, name="a")).validate()
    with pytest.raises(
        rs.exceptions.GraphValidationError, match="Annotate it as context: AssetExecutionContext"
    ):
        repository(rs.Asset(lambda base, context: 1, name="a"), rs.Asset(lambda: 1, name="base")).validate()


def test_context_changes_do_not_leak(repository):
    @rs.Asset(tags=["raw"], metadata={"unit": "eur"})
    def greedy(context: rs.AssetExecutionContext) -> int:
        context.asset_metadata["seen"] = True
        context.tags.append("seen")
        return len(context.asset_metadata) + len(context.tags)

    repo = repository(greedy)
    for _ in range(2):
        repo.materialize()
        assert repo.load_node("greedy") == 4
    assert (greedy.tags, greedy.metadata) == (["raw"], {"unit": "eur"})
