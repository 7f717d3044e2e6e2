"""What every test relies on: an installed checkout, no settings of the shell, properties without a clock."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

import rivers_core
from tests.s3_server import s3_server, s3_url

__all__ = ["s3_server", "s3_url"]

settings.register_profile("rivers", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("rivers")


def pytest_configure() -> None:
    if rivers_core.__file__ is None:
        raise pytest.UsageError(
            "the folder rivers_core/ was imported instead of the package inside it, because the checkout is "
            "not installed: run `make test`, or `pip install -e rivers_core` and the other folders"
        )


@pytest.fixture(autouse=True)
def no_settings_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable such as RIVERS_ENV in the developer's shell must not decide what a test sees."""
    for variable in [name for name in os.environ if name.upper().startswith("RIVERS_")]:
        monkeypatch.delenv(variable)
