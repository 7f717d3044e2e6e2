from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rivers.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rivers.storage import EventStorage


@pytest.fixture(params=["memory", "embedded"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventStorage]:
    """Each kind of storage, empty."""
    opened = Storage.memory() if request.param == "memory" else Storage.embedded(tmp_path / "history")
    with opened:
        yield opened
