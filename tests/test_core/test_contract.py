"""Mistakes of handler classes: methods take the arguments of the contract, in its order; the locality is known."""

from __future__ import annotations

import functools

import pytest

from rivers_core.handler import BaseIOHandler, contract_problems


def handler_class(**methods):
    plain = {"handle_output": lambda self, context, obj: None, "load_input": lambda self, context: None}
    return type("Custom", (BaseIOHandler,), {"__module__": __name__, **plain, **methods})


def decorated(self, *arguments, **named): ...


@functools.wraps(lambda self, obj, context: None)
def wrapping(*arguments): ...


async def waiting(self, context, obj): ...


class Callable:
    def __call__(self, anything): ...


ACCEPTED = {
    "other names": {"handle_output": lambda self, ctx, value: None, "load_input": lambda this, _: None},
    "further optional arguments": {"load_input": lambda self, context, columns=None, *, limit=3: None},
    "any arguments": {"handle_output": decorated, "load_input": decorated, "exists": decorated},
    "positional only": {"load_input": lambda self, context, /: None},
    "context by keyword": {"handle_output": lambda self, *values, context=None: None},
    "async": {"handle_output": waiting},
    "static method": {"load_input": staticmethod(lambda context: None)},
    "no function": {"exists": functools.partial(print, "exists")},
}
REJECTED = {
    "swapped": ({"handle_output": lambda self, obj, context: None}, "handle_output(self, obj, context)"),
    "swapped under another name": (
        {"handle_output": lambda self, value, context: None},
        "handle_output(self, value, context)",
    ),
    "swapped behind a decorator": ({"handle_output": wrapping}, "handle_output(self, obj, context)"),
    "lacks an argument": ({"handle_output": lambda self, obj: None}, "handle_output(self, obj)"),
    "lacks self": ({"load_input": lambda context: None}, "load_input(context)"),
    "requires another argument": ({"load_input": lambda self, context, path: None}, "load_input("),
    "keyword only": ({"load_input": lambda self, *, context: None}, "load_input(self, context)"),
    "optional method": ({"delete": lambda self: None}, "delete(self) must take (self, context)"),
    "two methods": ({"exists": lambda self: None, "accepts_type": lambda self: None}, "exists(self)"),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_contract_problems_accepts(case):
    assert contract_problems(handler_class(**ACCEPTED[case])) == []


@pytest.mark.parametrize("case", REJECTED)
def test_contract_problems_reports(case):
    methods, text = REJECTED[case]
    problems = contract_problems(handler_class(**methods))
    assert len(problems) == len(methods)
    assert any(f"Custom.{text}" in problem for problem in problems)


def test_contract_problems_reports_inherited_method():
    parent = handler_class(load_input=lambda self: None)
    assert contract_problems(type("Child", (parent,), {"__module__": __name__})) == [
        "Child.load_input(self) must take (self, context)."
    ]


def test_contract_problems_reports_locality():
    (problem,) = contract_problems(handler_class(locality="hosts"))
    assert "Custom.locality" in problem
    assert "Did you mean 'host'?" in problem


def test_contract_problems_accepts_locality_property():
    assert contract_problems(handler_class(locality=property(lambda self: "shared"))) == []


@pytest.mark.parametrize("config", [{}, {"frozen": True}])
@pytest.mark.parametrize("name", ["folder", "_client"])
def test_handler_reports_init_without_super(config, name):
    def init(self):
        setattr(self, name, "x")

    custom = handler_class(__init__=init, model_config=config, folder="", __annotations__={"folder": str})
    with pytest.raises(TypeError, match=rf"{name}.*Custom\.__init__.*super\(\)"):
        custom()
