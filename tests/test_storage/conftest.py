from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rivers.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rivers.storage import EventStorage


@pytest.fixture(params=["memory", "embedded", pytest.param("postgres", marks=pytest.mark.server)])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventStorage]:
    """Each kind of storage, empty."""
    if request.param == "memory":
        opened = Storage.memory()
    elif request.param == "embedded":
        opened = Storage.embedded(tmp_path / "history")
    else:
        opened = Storage.connect(request.getfixturevalue("postgres_url"))
    with opened:
        yield opened
