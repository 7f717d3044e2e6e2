"""Corpus of values for the round-trip checks."""

from __future__ import annotations

import enum
import uuid
from collections import OrderedDict
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Sample:
    """A value that a handler claims to store.

    Args:
        name: Name of the test case.
        make: Returns the value, a new one for each call.
        hint: Annotation with which the value is stored and loaded; None is the type of the value.

    Examples:
        >>> Sample.of("numbers", [1, 2]).make()
        [1, 2]
    """

    name: str
    make: Callable[[], Any]
    hint: Any = None

    @classmethod
    def of(cls, name: str, value: Any, hint: Any = None) -> Sample:
        """Return a sample that makes deep copies of a value.

        Args:
            name: Name of the test case.
            value: The value.
            hint: Annotation; None is the type of the value.
        """
        return cls(name, partial(deepcopy, value), hint)


class Color(enum.Enum):
    """An enumeration, as a value."""

    RED = "red"


@dataclass
class Point:
    """A dataclass, as a value."""

    x: int
    label: str


JSON_SAMPLES: Final = (
    Sample.of("null", None),
    Sample.of("true", True),
    Sample.of("false", False),
    Sample.of("zero", 0),
    Sample.of("integer", -(2**53) - 1),
    Sample.of("float", 0.1),
    Sample.of("integral float", 3.0),
    Sample.of("text", "text"),
    Sample.of("empty text", ""),
    Sample.of("unicode", 'größe 東京 🎉 "quoted" \\ \t\n\u2028'),
    Sample.of("nul", "a\x00b"),
    Sample.of("empty list", []),
    Sample.of("empty mapping", {}),
    Sample.of("list", [1, "a", None, True, 2.5]),
    Sample.of("mapping", {"a": 1, "": 2, "A": 3, "ä": None}),
    Sample.of("nested", {"rows": [{"id": n, "tags": [[], {}, [n]]} for n in range(3)]}),
)
"""Values that JSON can express."""

PYTHON_SAMPLES: Final = (
    *JSON_SAMPLES,
    Sample.of("large integer", 2**100),
    Sample.of("infinity", float("inf")),
    Sample.of("nan", float("nan")),
    Sample.of("complex", 1 + 2j),
    Sample.of("bytes", bytes(range(256))),
    Sample.of("empty bytes", b""),
    Sample.of("bytearray", bytearray(b"abc")),
    Sample.of("tuple", (1, (2, ()))),
    Sample.of("set", {1, 2}),
    Sample.of("frozenset", frozenset({"a"})),
    Sample.of("keys of any type", {1: "a", (2, 3): "b", None: "c"}),
    Sample.of("ordered", OrderedDict(b=1, a=2)),
    Sample.of("range", range(3)),
    Sample.of("datetime", datetime(2024, 2, 29, 23, 59, 59, 999_999)),
    Sample.of("aware datetime", datetime(2024, 2, 29, tzinfo=UTC)),
    Sample.of("datetime with offset", datetime(2024, 2, 29, tzinfo=timezone(timedelta(hours=5, minutes=30)))),
    Sample.of("date", date(2024, 2, 29)),
    Sample.of("time", time(12, 30)),
    Sample.of("timedelta", timedelta(days=1, microseconds=1)),
    Sample.of("decimal", Decimal("1.10")),
    Sample.of("uuid", uuid.UUID(int=5)),
    Sample.of("path", PurePosixPath("a/b")),
    Sample.of("enumeration", Color.RED),
    Sample.of("dataclass", Point(1, "a")),
)
"""Values of the standard library, for handlers that store any Python object."""
