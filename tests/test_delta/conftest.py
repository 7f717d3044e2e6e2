"""A handler on a separate folder for every test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.test_delta.support import Lake

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")
