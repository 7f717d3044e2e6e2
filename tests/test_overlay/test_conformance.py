"""The overlay passes the conformance kit, over two folders and over other overlays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rivers_overlay import OverlayIOHandler
from rivers_pickle import PickleIOHandler
from rivers_testkit import PYTHON_SAMPLES, IOHandlerTests

if TYPE_CHECKING:
    from pathlib import Path


class TestOverlay(IOHandlerTests):
    samples = PYTHON_SAMPLES

    @pytest.fixture
    def handler(self, tmp_path: Path) -> OverlayIOHandler:
        return OverlayIOHandler(
            top=PickleIOHandler(tmp_path / "mine"), base=PickleIOHandler(tmp_path / "production")
        )
