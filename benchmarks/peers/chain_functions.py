"""The functions that every contestant of the chain benchmark runs."""

from __future__ import annotations

from collections.abc import Callable


def chain_functions(count: int) -> dict[str, Callable[..., int]]:
    """Trivial functions of which each takes the result of the one before; the last gives `count - 1`."""
    lines = ["def a0() -> int:", "    return 0"]
    for number in range(1, count):
        before = f"a{number - 1}"
        lines += [f"def a{number}({before}: int) -> int:", f"    return {before} + 1"]
    namespace: dict[str, Callable[..., int]] = {}
    exec("\n".join(lines), namespace)
    return {name: namespace[name] for name in (f"a{number}" for number in range(count))}
