"""Entry of the processes that an executor starts elsewhere: `python -m rivers.worker EXECUTOR ARGUMENT...`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rivers.exceptions import RiversError
from rivers.executors import executor_class
from rivers_core.plugins import get_registry

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Do the work of an executor in this process.

    Args:
        arguments: Name of the executor, and its own arguments.

    Returns:
        The exit code of the process.
    """
    if not arguments:
        print("usage: python -m rivers.worker EXECUTOR ARGUMENT...", file=sys.stderr)  # noqa: T201
        return 2
    name, *rest = arguments
    try:
        result: int = executor_class(name, get_registry()).work(rest)  # type: ignore[attr-defined]
    except RiversError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return result


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
