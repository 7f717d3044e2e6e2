"""JSON handler: annotations, and values that JSON would change."""

from __future__ import annotations

import json
import threading
from decimal import Decimal

import pytest
from pydantic import BaseModel

from rivers_core import InputContext, OutputContext
from rivers_core.exceptions import IntegrityError, NotMaterializedError, RiversError
from rivers_json import JsonIOHandler


class Order(BaseModel):
    number: int
    total: Decimal


def store(handler, value, hint=None):
    handler.handle_output(OutputContext("orders", type_hint=hint), value)


def load(handler, hint=None):
    return handler.load_input(InputContext("orders", "report", type_hint=hint))


def test_models_round_trip(tmp_path):
    handler = JsonIOHandler(tmp_path)
    orders = [Order(number=1, total=Decimal("9.90"))]
    store(handler, orders, list[Order])
    assert load(handler, list[Order]) == orders
    assert load(handler) == [{"number": 1, "total": "9.90"}]


def test_document_is_readable(tmp_path):
    store(JsonIOHandler(tmp_path, indent=2), {"größe": 1})
    assert (tmp_path / "orders.json").read_text(encoding="utf-8") == '{\n  "größe": 1\n}\n'


@pytest.mark.parametrize(
    "value",
    [
        (1, 2),
        {1, 2},
        {1: "a"},
        Decimal("1.1"),
        float("nan"),
        b"\xff",
        threading.Lock(),
        Order(number=1, total=1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_store_refuses_value_that_json_changes(tmp_path, value):
    handler = JsonIOHandler(tmp_path)
    store(handler, "old")
    with pytest.raises(RiversError, match="'orders'"):
        store(handler, value)
    assert load(handler) == "old"


def test_load_reports_mismatch_with_annotation(tmp_path):
    handler = JsonIOHandler(tmp_path)
    store(handler, [{"number": "many"}])
    with pytest.raises(RiversError, match=r"'report'.*0\.number") as caught:
        load(handler, list[Order])
    assert not isinstance(caught.value, IntegrityError | NotMaterializedError)


@pytest.mark.parametrize("content", ["", "12", '{"a": 1', "[1, 2", "not json"])
def test_load_refuses_damaged_document(tmp_path, content):
    (tmp_path / "orders.json").write_text(content)
    with pytest.raises(IntegrityError, match=r"orders\.json"):
        load(JsonIOHandler(tmp_path))


def test_foreign_document_is_loaded(tmp_path):
    (tmp_path / "orders.json").write_text(json.dumps({"a": [1]}))
    assert load(JsonIOHandler(tmp_path)) == {"a": [1]}


def test_types_are_declared(tmp_path):
    handler = JsonIOHandler(tmp_path)
    assert handler.accepts_type(list[Order])
    assert not handler.accepts_type(threading.Event)
    assert not handler.can_load_type(threading.Event)
