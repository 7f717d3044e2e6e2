"""The kit catches faults: each broken handler fails the check that names its fault."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.test_testkit.broken_handlers import BROKEN

FILE = Path(__file__).with_name("broken_handlers.py")
ROOT = FILE.parents[2]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> dict[tuple[str, str], str | None]:
    """Failure of each check by test class and check; None if it passed. One pytest process runs all of them."""
    report = tmp_path_factory.mktemp("kit") / "report.xml"
    checks = [f"{FILE}::Test{cls.__name__}::{check}" for cls, check in BROKEN.items()]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:randomly",
        "-p",
        "no:xdist",
        f"--junitxml={report}",
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    process = subprocess.run([*command, *checks], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert report.exists(), process.stdout + process.stderr
    results = {}
    for case in ET.parse(report).iter("testcase"):
        failures = [*case.iter("failure"), *case.iter("error"), *case.iter("skipped")]
        name = case.get("name").partition("[")[0]
        results[case.get("classname").rpartition(".")[2], name] = (
            f"{failures[0].tag}: {failures[0].text}" if failures else None
        )
    return results


def test_at_least_forty_handlers_are_broken():
    assert len(BROKEN) >= 40


@pytest.mark.parametrize("broken", BROKEN, ids=lambda cls: cls.__name__)
def test_kit_catches_fault(broken, outcomes):
    text = outcomes[f"Test{broken.__name__}", BROKEN[broken]]
    assert text is not None, "the check passed"
    assert text.startswith("failure: "), text
    assert f"({BROKEN[broken]})" in text
    assert "Rule: " in text
