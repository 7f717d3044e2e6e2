"""Fixtures of the engine's tests: repositories without a configuration file, and a handler that keeps a diary."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import PrivateAttr

import rivers as rs


class DiaryIOHandler(rs.BaseIOHandler):
    """Keeps values in a dictionary and writes down every context that it was given."""

    _values: dict[str, Any] = PrivateAttr(default_factory=dict)
    _stored: list[rs.OutputContext] = PrivateAttr(default_factory=list)
    _loaded: list[rs.InputContext] = PrivateAttr(default_factory=list)

    @property
    def values(self) -> dict[str, Any]:
        return self._values

    @property
    def stored(self) -> list[rs.OutputContext]:
        return self._stored

    @property
    def loaded(self) -> list[rs.InputContext]:
        return self._loaded

    def handle_output(self, context: rs.OutputContext, obj: Any) -> None:
        self._stored.append(context)
        self._values[context.storage_key] = obj

    def load_input(self, context: rs.InputContext) -> Any:
        self._loaded.append(context)
        if context.storage_key not in self._values:
            raise rs.exceptions.NotMaterializedError(
                context.asset_name, partition=context.partition and context.partition.key
            )
        return self._values[context.storage_key]


@pytest.fixture
def diary() -> DiaryIOHandler:
    return DiaryIOHandler()


@pytest.fixture
def repository():
    """Make a repository that reads no configuration file and is shut down at the end."""
    created: list[rs.CodeRepository] = []

    def make(*assets: Any, **options: Any) -> rs.CodeRepository:
        repo = rs.CodeRepository(list(assets), config=options.pop("config", False), **options)
        created.append(repo)
        return repo

    yield make
    for repo in created:
        repo.shutdown()
