"""Mistakes that type checkers report. A comment that suppresses nothing is an error of `make check`."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

import rivers as rs


@rs.Asset
def orders() -> list[int]:
    return [1]


@rs.Asset(tags=["daily"])
def total(orders: list[int]) -> int:
    return sum(orders)


@rs.Task
def double(x: int) -> int:
    return 2 * x


@rs.Task
def texts() -> list[str]:
    return ["a"]


total("x")  # type: ignore[arg-type]
total()  # type: ignore[call-arg]
double("x")  # type: ignore[arg-type]
texts().map(double)  # type: ignore[arg-type]
rs.PickleIOHandler(sotre="memory:")  # type: ignore[call-arg]
rs.ParquetIOHandler("x", comprssion="zstd")  # type: ignore[call-arg]
rs.JsonIOHandler("x", indent="two")  # type: ignore[arg-type]
rs.DeltaIOHandler("x", mode="apend")  # type: ignore[arg-type]
rs.InMemoryIOHandler(size=3)  # type: ignore[call-arg]
rs.Backoff.constant(1, max=3)  # type: ignore[call-arg]
print(rs.Assett)  # type: ignore[attr-defined]
text: str = rs.CodeRepository([orders]).load_node("total", type_hint=int)  # type: ignore[assignment]


@rs.Asset(nmae="x")  # type: ignore[call-overload, untyped-decorator]
def named() -> list[int]:
    return [1]


@rs.Asset
def amounts() -> rs.Output[int]:
    return rs.Output("x")  # type: ignore[arg-type]


@rs.Asset(io_handler=5)  # type: ignore[call-overload, untyped-decorator]
def stored() -> int:
    return 1


rs.CodeRepository([orders]).materialise()  # type: ignore[attr-defined]
rs.RetryPolicy("3")  # type: ignore[arg-type]
