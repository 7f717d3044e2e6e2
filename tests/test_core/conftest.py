"""Fake installed distributions, and one with a handler."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rivers_testkit.distributions import FakeDistributions

HANDLER = """
from rivers_core.handler import BaseIOHandler

class {name}(BaseIOHandler):
    def handle_output(self, context, obj): pass
    def load_input(self, context): return {name!r}
"""

PLUGIN = """
from rivers_core.hooks import HandlerSpec, hookimpl

@hookimpl
def rivers_io_handlers():
    yield HandlerSpec({name!r}, target={target!r})
"""


@pytest.fixture
def install_handler(fake_distribution: FakeDistributions) -> Callable[..., Path]:
    """Install a distribution with one working handler: `install_handler("acme-yaml", "yaml")`."""

    def installed(
        distribution: str, name: str, *, package: str | None = None, entry_point: str | None = None, **rest
    ):
        package = package or distribution.replace("-", "_")
        class_name = f"{name.capitalize()}IOHandler"
        return fake_distribution(
            distribution,
            {entry_point or name: f"{package}.plugin"},
            {
                f"{package}/plugin.py": PLUGIN.format(name=name, target=f"{package}.handler:{class_name}"),
                f"{package}/handler.py": HANDLER.format(name=class_name),
            },
            **rest,
        )

    return installed
