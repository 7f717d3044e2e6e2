"""Signatures: methods of handler classes take the arguments of the contract, in its order."""

from __future__ import annotations

import functools

import pytest

from rivers_core.handler import BaseIOHandler, signature_problems


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
def test_signature_problems_accepts(case):
    assert signature_problems(handler_class(**ACCEPTED[case])) == []


@pytest.mark.parametrize("case", REJECTED)
def test_signature_problems_reports(case):
    methods, text = REJECTED[case]
    problems = signature_problems(handler_class(**methods))
    assert len(problems) == len(methods)
    assert any(f"Custom.{text}" in problem for problem in problems)


def test_signature_problems_reports_inherited_method():
    parent = handler_class(load_input=lambda self: None)
    assert signature_problems(type("Child", (parent,), {"__module__": __name__})) == [
        "Child.load_input(self) must take (self, context)."
    ]
