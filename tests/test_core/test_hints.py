"""Parts of annotations that handlers and the engine need."""

from __future__ import annotations

import collections.abc
import sys
import typing
from collections import OrderedDict
from types import NoneType
from typing import Annotated, Any, Literal, NewType, Optional, TypeVar, Union

import pytest
from typing_extensions import TypeAliasType

from rivers_core.authoring import hint_classes, hint_members, mapping_hint

T = TypeVar("T")
Ident = NewType("Ident", int)
Rows = TypeAliasType("Rows", list[int] | None)
Days = TypeAliasType("Days", dict[str, T], type_params=(T,))


@pytest.mark.parametrize(
    ("hint", "members"),
    [
        (int, (int,)),
        (None.__class__, (NoneType,)),
        (int | None, (int, NoneType)),
        (Optional[int], (int, NoneType)),  # noqa: UP045 - both spellings occur
        (Union[int, Annotated[str, "text"]], (int, str)),  # noqa: UP007
        (Annotated[Annotated[list[int], 1] | None, 2], (list[int], NoneType)),
        (Ident, (int,)),
        (Rows, (list[int], NoneType)),
        (Annotated[Rows | str, "x"], (list[int], NoneType, str)),
        (Days[int], (dict[str, int],)),
        (Literal["a"], (Literal["a"],)),
        (object, (object,)),
    ],
)
def test_hint_members_of_unions_and_aliases(hint, members):
    assert hint_members(hint) == members


@pytest.mark.parametrize(
    "hint",
    [
        None,
        Any,
        T,
        "pl.DataFrame",
        typing.ForwardRef("DataFrame"),
        int | Any,
        Optional[T],  # noqa: UP045
        Optional["Missing"],  # noqa: F821
    ],
)
def test_hint_members_of_open_annotations(hint):
    assert hint_members(hint) == ()
    assert hint_classes(hint) == ()
    assert mapping_hint(hint) is None


def test_hint_classes_drop_none_and_arguments():
    assert hint_classes(dict[str, int] | None) == (dict,)
    assert hint_classes(Annotated[list[int] | str, "x"]) == (list, str)
    assert hint_classes(Literal["a"]) == ()


@pytest.mark.parametrize(
    "kind",
    [
        dict,
        typing.Dict,  # noqa: UP006 - both spellings occur
        typing.Mapping,
        collections.abc.Mapping,
        typing.MutableMapping,
        collections.abc.MutableMapping,
    ],
)
def test_mapping_hint_accepts_mappings(kind):
    for hint in (kind[str, int], kind[str, int] | None, Annotated[Optional[kind[str, int]], "x"]):  # noqa: UP045
        assert mapping_hint(hint) == (str, int)
    assert mapping_hint(kind) == (Any, Any)


def test_mapping_hint_of_aliases_and_unions():
    assert mapping_hint(Days[int]) == (str, int)
    assert mapping_hint(dict[str, int] | dict[str, bytes]) == (str, int | bytes)


@pytest.mark.parametrize(
    "hint", [int, list[int], dict[str, int] | int, OrderedDict[str, int], None.__class__, Any]
)
def test_mapping_hint_is_none_for_others(hint):
    assert mapping_hint(hint) is None


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the statement `type` is new in Python 3.12")
def test_hint_members_of_type_statement():
    names: dict[str, Any] = {}
    exec("type Frames[V] = dict[str, V] | None", names)
    assert hint_members(names["Frames"][int]) == (dict[str, int], NoneType)
    assert mapping_hint(names["Frames"][int]) == (str, int)
