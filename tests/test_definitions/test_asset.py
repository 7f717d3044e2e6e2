from __future__ import annotations

import copy
import pickle
from enum import Enum

import pytest

from rivers import (
    Asset,
    AssetDef,
    AssetExecutionContext,
    CodeRepository,
    Compute,
    ExternalAsset,
    GraphAsset,
    Hook,
    InMemoryIOHandler,
    MultiAsset,
    Output,
    RetryPolicy,
    SelfDependency,
    SingleAsset,
    Task,
    TaskExecutionContext,
)
from rivers.exceptions import AssetDefinitionError
from rivers.partitions import PartitionsDefinition
from rivers_core.handler import BaseIOHandler


class Shelf(BaseIOHandler):
    def handle_output(self, context, obj):
        pass

    def load_input(self, context):
        return None


class Duck:
    def handle_output(self, context, obj):
        pass

    def load_input(self, context):
        return None


def pair():
    return {"a": 1, "b": 2}


@Asset
def numbers() -> list[int]:
    """Three numbers."""
    return [1, 2, 3]


def test_asset_takes_name_of_function():
    assert isinstance(numbers, SingleAsset)
    assert isinstance(numbers, Asset)
    assert numbers.name == "numbers"
    assert (numbers.is_single, numbers.is_multi, numbers.is_graph, numbers.is_external) == (
        True,
        False,
        False,
        False,
    )
    assert numbers.__doc__ == "Three numbers."
    assert repr(numbers) == "SingleAsset('numbers')"


def test_asset_call_calls_function():
    assert numbers() == [1, 2, 3]


def test_asset_keeps_arguments_as_attributes():
    days = PartitionsDefinition.daily("2024-01-01", "2024-02-01")
    shelf, policy, hook = Shelf(), RetryPolicy(2), Hook.success(print, name="say")
    dep = AssetDef.input("raw")

    @Asset(
        name="clean",
        tags=["daily"],
        kinds="table",
        group="silver",
        code_version="2",
        io_handler=shelf,
        metadata={"owner": {"name": "data", "since": 2020}, "delta/mode": "append"},
        partitions_def=days,
        deps=[dep],
        hooks=[hook],
        retry=policy,
        compute=Compute(cpu=2),
    )
    def function(raw):
        return raw

    assert (function.name, function.tags, function.kinds, function.group) == (
        "clean",
        ["daily"],
        ["table"],
        "silver",
    )
    assert (function.code_version, function.io_handler, function.partitions_def) == ("2", shelf, days)
    assert function.metadata == {"owner": {"name": "data", "since": 2020}, "delta/mode": "append"}
    assert (function.deps, function.hooks, function.retry) == ([dep], [hook], policy)
    assert function.compute == Compute(cpu=2)
    assert function.partition_mapping is None
    assert function.observe_fn is None


def test_asset_attributes_default_to_empty():
    assert (numbers.tags, numbers.kinds, numbers.deps, numbers.hooks, numbers.metadata) == (
        None,
        [],
        [],
        None,
        None,
    )
    assert (
        numbers.group
        is numbers.code_version
        is numbers.io_handler
        is numbers.retry
        is numbers.compute
        is None
    )


def test_asset_wraps_function_given_in_call():
    created = Asset(lambda: 1, name="one")
    assert (created.name, created()) == ("one", 1)


def test_asset_is_immutable():
    with pytest.raises(AttributeError, match=r"SingleAsset\('numbers'\).*cannot set 'name'"):
        numbers.name = "other"
    with pytest.raises(AttributeError, match="cannot delete"):
        del numbers.tags


def test_asset_copies_metadata():
    given = {"columns": ["a"]}
    created = Asset(lambda: 1, name="one", metadata=given)
    given["columns"].append("b")
    assert created.metadata == {"columns": ["a"]}


def test_asset_is_async():
    @Asset
    async def waits():
        return 1

    @Asset.from_multi(output_defs=[AssetDef("a")])
    async def yields():
        yield Output(1, output_name="a")

    assert waits.is_async
    assert yields.is_async
    assert not numbers.is_async


def test_asset_of_module_is_pickled_by_reference():
    assert pickle.loads(pickle.dumps(numbers)) is numbers
    assert copy.deepcopy(numbers) is numbers


def test_asset_created_by_call_is_pickled_by_value():
    created = Asset(copy.copy, name="copied", tags=["t"])
    again = pickle.loads(pickle.dumps(created))
    assert (again.name, again.tags, again([1])) == ("copied", ["t"], [1])


def test_multi_asset_keeps_order_of_outputs():
    @Asset.from_multi(output_defs=[AssetDef("b"), AssetDef("a", io_handler="pickle")], group="g")
    def split():
        return {"a": 1, "b": 2}

    assert isinstance(split, MultiAsset)
    assert split.is_multi
    assert split.output_names == ["b", "a"]
    assert split.output_defs[1].io_handler == "pickle"
    assert split() == {"a": 1, "b": 2}


def test_multi_asset_from_direct_call():
    created = Asset.from_multi(wraps=pair, name="both", output_defs=[AssetDef("a"), AssetDef("b")])
    assert isinstance(created, MultiAsset)
    assert created.name == "both"


def test_graph_asset_from_decorator_and_call():
    @Task
    def one():
        return 1

    @Asset.from_graph
    def bare():
        return one()

    created = Asset.from_graph(
        wraps=lambda: one(), name="called", node_io_handler="memory", io_handler="pickle"
    )
    assert isinstance(bare, GraphAsset)
    assert bare.is_graph
    assert (bare.name, bare.node_io_handler) == ("bare", None)
    assert (created.name, created.node_io_handler, created.io_handler) == ("called", "memory", "pickle")


def test_external_asset_without_function():
    created = Asset.external(name="raw", io_handler="pickle")
    assert isinstance(created, ExternalAsset)
    assert created.is_external
    assert created.observe_fn is None
    with pytest.raises(AssetDefinitionError, match="'raw' has no function to call"):
        created()


@pytest.mark.parametrize("options", [{"name": "seen"}, {}])
def test_external_asset_function_observes(options):
    @Asset.external(io_handler="pickle", tags=["t"], **options)
    def seen():
        return 5

    assert isinstance(seen, ExternalAsset)
    assert (seen.name, seen.tags, seen()) == ("seen", ["t"], 5)
    assert seen.observe_fn is seen.function
    assert seen.observe_fn is not None


def test_asset_def_is_an_immutable_value():
    assert AssetDef("a", tags=["t"]) == AssetDef("a", tags=["t"])
    assert AssetDef("a") != AssetDef("b")
    assert hash(AssetDef("a")) == hash(AssetDef("a"))
    assert pickle.loads(pickle.dumps(AssetDef("a", metadata={"x": 1}))) == AssetDef("a", metadata={"x": 1})
    assert repr(AssetDef("a", group="g")) == "AssetDef('a', group='g')"
    with pytest.raises(AttributeError, match="immutable"):
        AssetDef("a").name = "b"


def test_asset_def_input_and_dep():
    loaded, ordered = (
        AssetDef.input("a", io_handler="pickle", metadata={"delta/columns": ["x"]}),
        AssetDef.dep("a"),
    )
    assert (loaded.name, loaded.is_loaded, loaded.io_handler) == ("a", True, "pickle")
    assert loaded.metadata == {"delta/columns": ["x"]}
    assert (ordered.name, ordered.is_loaded, ordered.metadata) == ("a", False, None)
    assert AssetDef.input("a") == AssetDef.input("a") != ordered
    assert len({AssetDef.input("a"), AssetDef.input("a"), ordered}) == 2


def refused(match, **options):
    with pytest.raises(AssetDefinitionError, match=match):
        Asset(lambda: 1, **{"name": "orders", **options})


def test_asset_rejects_duck_typed_handler():
    refused(r"Asset 'orders'.*BaseIOHandler.*class Duck\(BaseIOHandler\)", io_handler=Duck())


def test_asset_rejects_handler_class():
    refused(r"'orders'.*io_handler.*class Shelf.*Shelf\(\.\.\.\)", io_handler=Shelf)


@pytest.mark.parametrize("handler", [3, object(), Duck, "", "  "])
def test_asset_rejects_invalid_handler(handler):
    refused("'orders'.*io_handler", io_handler=handler)


@pytest.mark.parametrize(
    "name", ["", " ", " orders", "or\nders", "or\x00ders", "\ud800", "\u2028", ".", "..", 3]
)
def test_asset_rejects_invalid_name(name):
    refused("name", name=name)


@pytest.mark.parametrize("name", ["orders", "Orders", "a/b", "größe", "a b", "x=1", "100%"])
def test_asset_accepts_unusual_name(name):
    assert Asset(lambda: 1, name=name).name == name


def test_asset_rejects_metadata_outside_json():
    refused(r"metadata\['a'\]\[1\].*<object.*\(object\)", metadata={"a": [1, object()]})
    refused(r"metadata\['a'\]: keys.*1", metadata={"a": {1: 2}})
    refused("nan", metadata={"a": float("nan")})
    refused("metadata", metadata=[1])


@pytest.mark.parametrize("tags", ["daily", [1], {"a": 1}, 3, [""]])
def test_asset_rejects_invalid_tags(tags):
    refused("tags", tags=tags)


def test_asset_rejects_single_tag():
    refused(r"tags=\['daily'\]", tags="daily")


@pytest.mark.parametrize("kinds", [[1], 3, ""])
def test_asset_rejects_invalid_kinds(kinds):
    refused("kinds", kinds=kinds)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("group", 1),
        ("code_version", 2),
        ("partitions_def", ["a"]),
        ("deps", ["raw"]),
        ("deps", "raw"),
        ("hooks", [print]),
        ("retry", 3),
        ("compute", "2Gi"),
    ],
)
def test_asset_error_names_invalid_option(field, value):
    refused(f"'orders'.*{field}", **{field: value})


def test_asset_rejects_name_in_deps():
    refused(r"AssetDef.input\('raw'\).*AssetDef.dep\('raw'\)", deps=["raw"])


def test_asset_rejects_duplicate_dep():
    refused("'raw' twice", deps=[AssetDef.dep("raw"), AssetDef.input("raw")])


@pytest.mark.parametrize("wraps", [3, "orders", int, numbers, Task(lambda: 1, name="t"), staticmethod(print)])
def test_asset_rejects_invalid_function(wraps):
    with pytest.raises(AssetDefinitionError, match="wraps"):
        Asset(wraps)


def test_asset_rejects_name_as_function():
    with pytest.raises(AssetDefinitionError, match='name="orders"'):
        Asset("orders")


def test_asset_requires_name_for_lambda():
    with pytest.raises(AssetDefinitionError, match='name="..."'):
        Asset(lambda: 1)


def test_asset_rejects_context_that_is_not_first():
    with pytest.raises(AssetDefinitionError, match="'late'.*'context'.*2"):

        @Asset
        def late(raw, context: AssetExecutionContext):
            return raw


def test_asset_rejects_task_context():
    with pytest.raises(AssetDefinitionError, match="AssetExecutionContext.*TaskExecutionContext"):

        @Asset
        def wrong(context: TaskExecutionContext):
            return 1


def test_asset_rejects_two_self_dependencies():
    with pytest.raises(AssetDefinitionError, match="SelfDependency.*a, b"):

        @Asset
        def wrong(a: SelfDependency[int], b: SelfDependency[int]):
            return 1


def test_multi_asset_requires_outputs():
    with pytest.raises(AssetDefinitionError, match="'split'.*no outputs"):

        @Asset.from_multi
        def split():
            return {}


@pytest.mark.parametrize(
    ("names", "match"), [(["a", "b", "a"], "'a' twice"), (["a", "A"], "'A' and 'a'.*differ only in case")]
)
def test_multi_asset_rejects_duplicate_output(names, match):
    with pytest.raises(AssetDefinitionError, match=match):
        Asset.from_multi(wraps=pair, name="m", output_defs=[AssetDef(name) for name in names])


def test_multi_asset_rejects_output_name():
    with pytest.raises(AssetDefinitionError, match=r"AssetDef\('a'\)"):
        Asset.from_multi(wraps=pair, name="m", output_defs=["a"])


def test_external_asset_requires_handler():
    with pytest.raises(AssetDefinitionError, match="'raw'.*io_handler"):
        Asset.external(name="raw")


def test_graph_asset_rejects_async_body():
    with pytest.raises(AssetDefinitionError, match="only wires tasks"):

        @Asset.from_graph
        async def graph():
            return 1


def test_asset_subclasses_cannot_be_called():
    with pytest.raises(AssetDefinitionError, match="Asset.from_multi"):
        MultiAsset(lambda: 1)


def test_asset_rejects_unknown_argument():
    with pytest.raises(TypeError, match="io_handlr"):
        Asset(io_handlr="memory")


@pytest.mark.parametrize(
    ("decorator", "shown"),
    [
        (Asset(name="x"), "Asset(...)"),
        (Asset.from_multi(output_defs=[AssetDef("a")]), "Asset.from_multi(...)"),
        (Asset.from_graph(name="x"), "Asset.from_graph(...)"),
        (Asset.external(io_handler="pickle"), "Asset.external(...)"),
        (Task(name="x"), "Task(...)"),
    ],
)
def test_decorator_without_function_repr(decorator, shown):
    assert repr(decorator) == f"{shown} without its function"
    assert not isinstance(decorator, Asset)


@pytest.mark.parametrize("other", [AssetDef.dep("raw"), AssetDef.input("raw", metadata={"a": 2})])
def test_multi_asset_rejects_contradicting_deps(other):
    def both(raw):
        yield Output(raw, output_name="a")

    dep = AssetDef.input("raw", metadata={"a": 1})
    for deps, of_a in (([dep], []), ([], [dep])):
        outputs = [AssetDef("a", deps=of_a), AssetDef("b", deps=[other])]
        with pytest.raises(AssetDefinitionError, match="'raw' twice and differently.*output 'b'"):
            Asset.from_multi(both, output_defs=outputs, deps=deps)
    same = AssetDef.input("raw", metadata={"a": 1})
    assert Asset.from_multi(both, output_defs=[AssetDef("a", deps=[same])], deps=[dep]).deps == [dep]


def test_text_enums_count_as_their_values():
    class Name(str, Enum):  # noqa: UP042 - StrEnum has another `__str__`
        ORDERS = "orders"
        LAKE = "lake"

    @Asset(
        name=Name.ORDERS,
        tags=[Name.ORDERS],
        kinds=Name.ORDERS,
        group=Name.ORDERS,
        code_version=Name.ORDERS,
        io_handler=Name.LAKE,
        metadata={Name.ORDERS: [Name.ORDERS]},
    )
    def asset():
        return 1

    texts = [asset.name, *asset.tags, *asset.kinds, asset.group, asset.code_version]
    texts += [*asset.metadata, *asset.metadata["orders"]]
    with CodeRepository([asset], resources={Name.LAKE: InMemoryIOHandler()}, config=False) as repo:
        result = repo.materialize([Name.ORDERS])
        texts += [*result.materialized_assets, *repo.storage.get_runs(1)[0].node_names]
        texts.append(repo.storage.get_latest_materialization("orders").code_version)
    assert {(type(text), text) for text in texts} == {(str, "orders")}
