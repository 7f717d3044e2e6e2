"""Partition expression: which columns of a table hold the partition key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rivers_core.exceptions import PartitionValidationError


@dataclass(frozen=True, init=False, repr=False)
class PartitionExpr:
    """Column that holds the partition key, or one column for each of several dimensions.

    Args:
        expr: The name of a column, or `{dimension: column}`. Always a name, never SQL.

    Raises:
        ValueError: No column, or one column for two dimensions.
        TypeError: It is neither text nor a mapping of texts.

    Examples:
        >>> PartitionExpr({"date": "day", "region": "region"}).columns
        ('day', 'region')
    """

    _given: str | dict[str, str]

    def __init__(self, expr: str | Mapping[str, str]) -> None:
        object.__setattr__(self, "_given", dict(expr) if isinstance(expr, Mapping) else expr)
        columns: tuple[object, ...] = self.columns
        if not all(isinstance(column, str) and column for column in columns):
            raise TypeError(f"must be a column, or a dictionary {{dimension: column}}, got {expr!r}")
        if not columns or len(set(columns)) != len(columns):
            raise ValueError(f"must have a separate column for each dimension, got {expr!r}")

    @classmethod
    def parse(cls, value: Any) -> PartitionExpr:
        """Return the expression of the option `delta/partition_expr`.

        Args:
            value: An expression, a column, a mapping, or JSON of a mapping.
        """
        if isinstance(value, PartitionExpr):
            return value
        if isinstance(value, str) and value.lstrip().startswith("{"):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                return cls(value)
        if not isinstance(value, (str, Mapping)):
            raise TypeError(f"must be a column, or a dictionary {{dimension: column}}, got {value!r}")
        return cls(value)

    @property
    def expr(self) -> str | dict[str, str]:
        """The column, or a dictionary `{dimension: column}`."""
        return dict(self._given) if isinstance(self._given, dict) else self._given

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns, in the order of the expression."""
        return tuple(self._given.values()) if isinstance(self._given, dict) else (self._given,)

    @property
    def partition_columns(self) -> list[str]:
        """The columns as a list."""
        return list(self.columns)

    def column_of(self, dimension: str | None) -> str:
        """Return the column that holds a dimension.

        Args:
            dimension: Its name; None for keys with one dimension.

        Raises:
            PartitionValidationError: The expression does not name it.
        """
        if not isinstance(self._given, dict):
            if dimension is None:
                return self._given
        elif dimension in self._given:
            return self._given[dimension]
        elif dimension is None and len(self._given) == 1:
            return self.columns[0]
        subject = "a key with one dimension" if dimension is None else f"dimension {dimension!r}"
        usage = "the name of a column" if dimension is None else f"{{{dimension!r}: <column>, ...}}"
        raise PartitionValidationError(
            f"'delta/partition_expr' {self.expr!r} has no column for {subject}. Use {usage}."
        )

    def __hash__(self) -> int:
        return hash(frozenset(self.columns))

    def __repr__(self) -> str:
        return f"PartitionExpr({self.expr!r})"
