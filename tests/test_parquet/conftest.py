"""A Parquet handler on a new folder."""

from __future__ import annotations

import pytest

from tests.test_parquet.support import Tables


@pytest.fixture
def tables(tmp_path) -> Tables:
    return Tables(tmp_path / "tables")
