"""The functions that every contestant of the chain benchmark runs."""

from __future__ import annotations

from collections.abc import Callable


def chain_functions(count: int) -> dict[str, Callable[..., int]]:
    """Return functions by name; each takes the result of its predecessor, and the last returns `count - 1`."""
    lines = ["def a0() -> int:", "    return 0"]
    for number in range(1, count):
        predecessor = f"a{number - 1}"
        lines += [f"def a{number}({predecessor}: int) -> int:", f"    return {predecessor} + 1"]
    namespace: dict[str, Callable[..., int]] = {}
    # both frameworks read the parameter names of real functions; closures would all look alike
    exec("\n".join(lines), namespace)
    return {name: namespace[name] for name in (f"a{number}" for number in range(count))}
