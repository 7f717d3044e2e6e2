"""The kit catches faults: each broken handler fails the check that names its fault."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.test_testkit.broken_handlers import BROKEN

# one process runs all handlers before the first test
pytestmark = pytest.mark.timeout(600)

FILE = Path(__file__).with_name("broken_handlers.py")
ROOT = FILE.parents[2]


def outcomes(report: Path) -> dict[tuple[str, str], str]:
    """Run the check of each broken handler in one pytest process; return the failures by test class and check."""
    checks = [f"{FILE}::Test{cls.__name__}::{check}" for cls, check in BROKEN.items()]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:xdist"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    process = subprocess.run(
        [*command, f"--junitxml={report}", *checks],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert report.exists(), process.stdout + process.stderr
    results = {}
    for case in ET.parse(report).iter("testcase"):
        failures = [*case.iter("failure"), *case.iter("error"), *case.iter("skipped")]
        name = case.get("name").partition("[")[0]
        results[case.get("classname").rpartition(".")[2], name] = (
            f"{failures[0].tag}: {failures[0].text}" if failures else "the check passed"
        )
    return results


@pytest.mark.timeout(600)
def test_kit_catches_each_fault(tmp_path):
    """One test, since each process of pytest-xdist that ran a part would run the checks of all handlers."""
    assert len(BROKEN) >= 40
    results = outcomes(tmp_path / "report.xml")
    for broken, check in BROKEN.items():
        text = results[f"Test{broken.__name__}", check]
        assert text.startswith("failure: "), f"{broken.__name__}: {text}"
        assert f"({check})" in text
        assert "Rule: " in text
