"""`python -m rivers`: the `rivers` command, which a separate distribution provides."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points


def main() -> int:
    """Run the command; return its exit code."""
    for script in entry_points(group="console_scripts", name="rivers"):
        return int(script.load()() or 0)
    print('The command is not installed. Run: pip install "rivers-cli".', file=sys.stderr)  # noqa: T201
    return 2


if __name__ == "__main__":
    sys.exit(main())
