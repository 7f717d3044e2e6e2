from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def module():
    spec = importlib.util.spec_from_file_location("benchmark_report", BENCHMARKS / "harness" / "report.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def bounds(tmp_path):
    file = tmp_path / "bounds.json"
    file.write_text('{"chain": {"run": 2.0}}')
    return file


@pytest.mark.parametrize(
    ("label", "ratio", "target", "exit_code"),
    [
        ("run", 2.3, 1.0, 0),  # worse than wanted, within a fifth of the bound
        ("run", 2.5, 1.0, 1),
        ("new", 1.1, 1.0, 0),  # without a bound, the target is one
        ("new", 1.3, 1.0, 1),
        ("new", 9.0, None, 0),
    ],
)
def test_report_compares_with_stored_bound(module, bounds, label, ratio, target, exit_code):
    report = module.Report("title", script="chain", bounds=bounds)
    report.ratio(label, ratio, 1.0, target)
    assert report.exit_code == exit_code


def test_report_records_bounds_of_ratios_with_target(module, bounds, monkeypatch):
    monkeypatch.setenv(module.RECORD, "1")
    report = module.Report("title", script="step", bounds=bounds)
    report.ratio("load", 3.0, 2.0, 1.0)
    report.ratio("printed only", 3.0, 2.0)
    assert report.exit_code == 0
    assert json.loads(bounds.read_text()) == {"chain": {"run": 2.0}, "step": {"load": 1.5}}


def test_stored_bounds_name_existing_scripts():
    bounds = json.loads((BENCHMARKS / "bounds.json").read_text())
    assert bounds.keys() <= {script.stem for script in BENCHMARKS.glob("*.py")}
