from __future__ import annotations

import pytest

from rivers import (
    Asset,
    AssetDef,
    AssetExecutionContext,
    BashTask,
    SelfDependency,
    Task,
)
from rivers.definitions.composition import AssetRef, Constant, NodeRef
from rivers.exceptions import AssetDefinitionError, GraphValidationError


def pair():
    return {"a": 1, "b": 2}


@Task
def clean(rows, limit=10):
    return rows[:limit]


@Task
def join(left, right):
    return left + right


@Task(name="count_rows")
def count(rows):
    return len(rows)


@Asset
def weather():
    return [1]


def wiring(body, **options):
    recording = Asset.from_graph(wraps=body, name="g", **options).record()
    return {node.name: node.arguments for node in recording.nodes}, recording.result


def test_body_wires_positional_and_keyword_arguments():
    nodes, result = wiring(lambda orders: join(clean(orders, 5), right=clean(limit=3, rows=orders)))
    assert nodes == {
        "g/clean": {"rows": AssetRef("orders"), "limit": Constant(5)},
        "g/clean_2": {"rows": AssetRef("orders"), "limit": Constant(3)},
        "g/join": {"left": NodeRef("g/clean"), "right": NodeRef("g/clean_2")},
    }
    assert result == NodeRef("g/join")


def test_omitted_parameter_is_wired_by_name():
    nodes, _ = wiring(lambda: count(clean()))
    assert nodes["g/clean"] == {"rows": AssetRef("rows")}


def test_nodes_are_named_after_tasks():
    nodes, result = wiring(lambda: count())
    assert list(nodes) == ["g/count_rows"]
    assert result.node_name == "g/count_rows"


def test_a_task_serves_several_graphs():
    one = Asset.from_graph(wraps=lambda: clean(), name="one").record()
    two = Asset.from_graph(wraps=lambda: clean(), name="two").record()
    assert [node.name for node in (*one.nodes, *two.nodes)] == ["one/clean", "two/clean"]
    assert one.nodes[0].task is two.nodes[0].task is clean


def test_an_asset_called_in_a_body_stays_outside():
    nodes, _ = wiring(lambda: count(weather()))
    assert nodes == {"g/count_rows": {"rows": AssetRef("weather")}}


def test_asset_accepts_its_own_inputs():
    @Asset
    def tidy(weather):
        return weather

    nodes, _ = wiring(lambda: count(tidy(weather())))
    assert nodes == {"g/count_rows": {"rows": AssetRef("tidy")}}


def test_default_of_body_is_a_constant():
    def body(orders, limit=7):
        return clean(orders, limit)

    nodes, _ = wiring(body)
    assert nodes["g/clean"] == {"rows": AssetRef("orders"), "limit": Constant(7)}


def test_body_may_use_later_definitions():
    @Asset.from_graph
    def early():
        return late()

    @Task
    def late():
        return 1

    assert early.record().result == NodeRef("early/late")


def test_body_is_called_once():
    calls = []

    def body():
        calls.append(1)
        return clean()

    graph = Asset.from_graph(wraps=body, name="g")
    assert graph.record() is graph.record()
    assert calls == [1]


def test_task_with_var_keywords_is_wired():
    @Task
    def merge(**parts):
        return parts

    nodes, _ = wiring(lambda: merge(a=clean(), b=3))
    assert nodes["g/merge"] == {"a": NodeRef("g/clean"), "b": Constant(3)}


def test_context_of_task_is_not_wired():
    from rivers import TaskExecutionContext

    @Task
    def summary(context: TaskExecutionContext, rows):
        return rows

    nodes, _ = wiring(lambda orders: summary(orders))
    assert nodes["g/summary"] == {"rows": AssetRef("orders")}


def test_bash_task_arguments_are_order_only():
    report = BashTask("report", "echo done")
    recording = Asset.from_graph(wraps=lambda orders: report(clean(orders), orders), name="g").record()
    assert recording.nodes[1].arguments == {}
    assert recording.nodes[1].after == (NodeRef("g/clean"), AssetRef("orders"))


def test_task_outside_body_calls_function():
    Asset.from_graph(wraps=lambda: clean(), name="g").record()
    assert clean([1, 2, 3], 2) == [1, 2]


def test_failing_body_ends_recording():
    with pytest.raises(GraphValidationError):
        wiring(lambda: 1 / 0)
    assert clean([1], 1) == [1]


def fails(match, body):
    with pytest.raises(GraphValidationError, match=match):
        wiring(body)


def use_undefined():
    return nowhere()  # noqa: F821


def use_if(orders):
    return clean() if orders else count()


def use_loop(orders):
    return join(*[clean(row) for row in orders])


@pytest.mark.parametrize(
    ("match", "body"),
    [
        ("returns nothing", lambda: None),
        ("returns the plain value 3", lambda: 3),
        ("the value of 'orders', which comes from outside", lambda orders: orders),
        ("returns Task\\('clean'\\) without calling it", lambda: clean),
        ("returns a tuple of several values", lambda: (clean(), clean())),
        ("NameError: name 'nowhere' is not defined", use_undefined),
        ("ZeroDivisionError", lambda: 1 / 0),
        ("test the value of 'orders'", use_if),
        ("iterate over", use_loop),
        (r"read `\.shape` of the value of node 'g/clean'", lambda: count(clean().shape)),
        ("take an item", lambda: count(clean()[0])),
        ("compute with", lambda orders: count(orders + 1)),
        ("compute with", lambda orders: count(1 + orders)),
        ("compare", lambda orders: count(orders == 3)),
        ("call the value of 'orders'", lambda orders: count(orders())),
        ("inside a list for 'rows'", lambda: count([clean(), clean()])),
        ("inside a dict for 'rows'", lambda: count({"a": [clean()]})),
        ("format", lambda orders: count(f"{orders}.csv")),
        ("format", lambda orders: count(str(orders))),
        ("'clean'.*itself for 'rows'.*`clean", lambda: count(clean)),
        ("'weather'.*itself for 'rows'.*`weather", lambda: count(weather)),
        ("'clean'.*rows, limit", lambda: clean(1, 2, 3)),
        ("'clean'.*'row'", lambda: clean(row=1)),
        ("3 to 'weather'", lambda: count(weather(3))),
        ("calls the asset itself", lambda: Asset(lambda: 1, name="g")()),
    ],
)
def test_body_rejects_use_of_values(match, body):
    fails(f"Graph asset 'g'.*{match}", body)


def test_body_rejects_task_with_var_positional():
    @Task
    def merge(*parts):
        return parts

    fails("collects values in \\*parts", lambda: merge(clean(), clean()))


def test_body_rejects_multi_asset():
    both = Asset.from_multi(wraps=pair, name="both", output_defs=[AssetDef("a"), AssetDef("b")])
    fails("several outputs", lambda: count(both()))


def test_body_rejects_value_of_another_graph():
    kept = []

    def first(orders):
        kept.append(clean(orders))
        return kept[0]

    wiring(first)
    fails("belongs to another graph asset", lambda: count(kept[0]))
    fails("belongs to another graph asset", lambda: kept[0])


def test_bash_task_rejects_plain_values():
    report = BashTask("report", "echo done")
    fails("runs a command.*got 3", lambda: report(3))


@pytest.mark.parametrize("kind", ["context", "own", "variadic"])
def test_body_rejects_special_parameters(kind):
    def context(context: AssetExecutionContext):
        return clean()

    def own(self: SelfDependency[int]):
        return clean()

    def variadic(*orders):
        return clean()

    body = {"context": context, "own": own, "variadic": variadic}[kind]
    with pytest.raises(AssetDefinitionError, match="Asset 'g': the body"):
        wiring(body)
