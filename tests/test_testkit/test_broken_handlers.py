"""The kit catches faults: each broken handler fails the check that names its fault."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from rivers_testkit.checks.concurrency import ConcurrencyChecks
from rivers_testkit.checks.failed_writes import FailedWriteChecks
from rivers_testkit.checks.model import ModelChecks
from tests.test_testkit.broken_handlers import BROKEN, BrokenTests, FileIOHandler, NonAtomicReplace

# one process runs all handlers before the first test
pytestmark = pytest.mark.timeout(600)

FILE = Path(__file__).with_name("broken_handlers.py")
ROOT = FILE.parents[2]


def outcomes(report: Path, names: list[tuple[type, str]]) -> dict[tuple[str, str], str]:
    """Run checks of broken handlers in one pytest process; return the failures by test class and check."""
    checks = [f"{FILE}::Test{cls.__name__}::{check}" for cls, check in names]
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
    assert len(BROKEN) >= 100
    results = outcomes(tmp_path / "report.xml", [*BROKEN.items()])
    for broken, check in BROKEN.items():
        text = results[f"Test{broken.__name__}", check]
        assert text.startswith("failure: "), f"{broken.__name__}: {text}"
        assert f"({check})" in text
        assert "Rule: " in text


def test_failures_of_non_atomic_replace_advise_rename(tmp_path):
    names = [name for group in (FailedWriteChecks, ConcurrencyChecks) for name in vars(group)]
    checks = [(NonAtomicReplace, name) for name in names if name.startswith("test_")]
    failures = [
        text for text in outcomes(tmp_path / "report.xml", checks).values() if text.startswith("failure: ")
    ]
    assert len(failures) >= 3
    for text in failures:
        assert re.search(r"Advice: .*temporary file.*rename", text), text


def test_random_sequences_report_one_failure(tmp_path):
    class TwoFaults(FileIOHandler):
        def exists(self, context):
            return context.partition is None and super().exists(context)

        def load_input(self, context):
            super().load_input(context)
            raise RuntimeError(f"Cannot load {context.asset_name}.")

    checks = BrokenTests()
    with pytest.raises((AssertionError, RuntimeError)):  # not an ExceptionGroup
        ModelChecks.test_handler_behaves_like_a_dictionary(checks, TwoFaults(folder=str(tmp_path)))
