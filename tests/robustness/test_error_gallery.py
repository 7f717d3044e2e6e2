"""The error gallery shows what users see: each message states the cause and the fix."""

from __future__ import annotations

import sys

import pytest

from tests.robustness.error_gallery import FAULTS, PAGE, page

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the page has the paths of POSIX")


@pytest.mark.untrue_events("faults damage stored values")
def test_page_shows_each_fault_as_users_see_it():
    assert len(FAULTS) >= 80
    shown, stored = page().splitlines(), PAGE.read_text().splitlines()
    assert shown == stored, (
        "docs/errors-gallery.md differs from the messages; run `make gallery` and read the change"
    )
