"""Which column of a table holds the partition key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rivers_core._values import Value
from rivers_core.exceptions import PartitionValidationError


class PartitionExpr(Value):
    """Says in which column, or for several dimensions in which columns, the partition keys are.

    Args:
        expr: The name of a column, or `{dimension: column}`. Always a name, never SQL.

    Raises:
        ValueError: No column, or one for two dimensions.
        TypeError: It is neither text nor a mapping of texts.

    Examples:
        >>> PartitionExpr({"date": "day", "region": "region"}).columns
        ('day', 'region')
    """

    __slots__ = ("_given",)
    _fields = ("expr",)
    _given: str | dict[str, str]

    def __init__(self, expr: str | Mapping[str, str]) -> None:
        self._set(_given=dict(expr) if isinstance(expr, Mapping) else expr)
        for column in self.columns:
            given: object = column
            if not isinstance(given, str) or not given:
                raise TypeError(f"is a column, or a dictionary {{dimension: column}}, got {expr!r}")
        if not self.columns or len(set(self.columns)) != len(self.columns):
            raise ValueError(f"needs a column of its own for each dimension, got {expr!r}")

    @classmethod
    def read(cls, value: Any) -> PartitionExpr:
        """The expression in an asset's metadata: itself, a column, a mapping, or JSON of a mapping.

        Args:
            value: What stands under `delta/partition_expr`.
        """
        if isinstance(value, PartitionExpr):
            return value
        if isinstance(value, str) and value.lstrip().startswith("{"):
            try:
                value = json.loads(value)
            except ValueError:
                return cls(value)
        if not isinstance(value, (str, Mapping)):
            raise TypeError(f"is a column, or a dictionary {{dimension: column}}, got {value!r}")
        return cls(value)

    @property
    def expr(self) -> str | dict[str, str]:
        """The column, or a dictionary `{dimension: column}`."""
        return dict(self._given) if isinstance(self._given, dict) else self._given

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns, in the order in which they were given."""
        return tuple(self._given.values()) if isinstance(self._given, dict) else (self._given,)

    def column_of(self, dimension: str | None) -> str:
        """The column that holds a dimension.

        Args:
            dimension: Its name; None for keys with one dimension.

        Raises:
            PartitionValidationError: The expression does not say.
        """
        if not isinstance(self._given, dict):
            if dimension is None:
                return self._given
        elif dimension in self._given:
            return self._given[dimension]
        elif dimension is None and len(self._given) == 1:
            return self.columns[0]
        what = "a key with one dimension" if dimension is None else f"dimension {dimension!r}"
        raise PartitionValidationError(
            f"'delta/partition_expr' {self.expr!r} names no column for {what}; write "
            + ("the name of a column." if dimension is None else f"{{{dimension!r}: <column>, ...}}.")
        )

    def __hash__(self) -> int:
        return hash(frozenset(self.columns))

    def __repr__(self) -> str:
        return f"PartitionExpr({self.expr!r})"
