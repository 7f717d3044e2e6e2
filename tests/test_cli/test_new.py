"""`rivers new`: the created project works, existing files are kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def test_new_project_works_in_two_environments(empty, monkeypatch):
    """Create a project, misspell a handler, correct it, materialize, load, use another environment."""
    done = empty.ok("new", "shop")
    assert "rivers materialize" in done.out
    monkeypatch.chdir(empty.path / "shop")
    empty.path = empty.path / "shop"

    empty.edit("rivers.toml", 'default_io_handler = "files"', 'default_io_handler = "flies"')
    done = empty.rivers("materialize")
    assert done.code == 2
    assert "rivers.toml" in done.err
    assert "'flies'" in done.err
    assert "Did you mean 'files'" in done.err
    assert "Traceback" not in done.err
    assert not (empty.path / "data").exists()

    empty.edit("rivers.toml", 'default_io_handler = "flies"', 'default_io_handler = "files"')
    empty.ok("check")
    done = empty.ok("materialize")
    assert "3 of 3 stored" in done.err
    assert "Cairo is the warmest of 3 cities" in empty.ok("load", "report").out
    assert [item["values"][0]["state"] for item in empty.ok("assets", "--json").document] == ["fresh"] * 3

    empty.ok("materialize", "--env", "prod")
    assert empty.files("data-prod") == empty.files("data") == ["averages.pkl", "readings.pkl", "report.pkl"]


def test_new_project_passes_its_tests(empty):
    empty.ok("new", "rain-gauge")
    folder = empty.path / "rain-gauge"
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("RIVERS", "PYTEST"))
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=folder,
        env=environment | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (folder / ".rivers").exists()
    assert not (folder / "data").exists()


def test_new_project_passes_linter_and_type_checker(empty, pytestconfig):
    # one cache for all projects: checking rivers itself takes most of the time
    cache = getattr(pytestconfig, "cache", None)
    known = "/dev/null" if cache is None else cache.mkdir("mypy-of-new-projects")
    empty.ok("new", "shop")
    folder = empty.path / "shop"
    bin_folder = Path(sys.executable).parent
    if not (bin_folder / "ruff").exists() or not (bin_folder / "mypy").exists():
        pytest.skip("ruff and mypy come with the group `check`")
    for command in (
        ["ruff", "check", "--no-cache", "--isolated", "--line-length=120", "."],
        ["mypy", "--strict", f"--cache-dir={known}", "shop", "tests"],
    ):
        done = subprocess.run(
            [bin_folder / command[0], *command[1:]], cwd=folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_new_does_not_overwrite_files(empty):
    empty.ok("new", "shop")
    empty.write("shop/rivers.toml", "mine")
    done = empty.rivers("new", "shop")
    assert done.code == 2
    assert "rivers.toml already exists" in done.err
    assert (empty.path / "shop" / "rivers.toml").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("json", "json-pipeline"),
        ("rivers", "rivers-pipeline"),
        ("rivers-delta", "rivers_delta-pipeline"),
        ("polars", "polars-pipeline"),
        ("Pluggy", "pluggy-pipeline"),
        ("2shops", "Start with a letter"),
        ("class", "Start with a letter"),
    ],
)
def test_new_rejects_name_that_is_not_a_package(empty, name, message):
    done = empty.rivers("new", name)
    assert done.code == 2
    assert message in done.err
    assert empty.files() == []


def test_new_names_module_that_package_would_hide(empty, monkeypatch):
    empty.write("site/ledger.py", "")
    monkeypatch.syspath_prepend(empty.path / "site")
    done = empty.rivers("new", "ledger")
    assert done.code == 2
    assert str(empty.path / "site" / "ledger.py") in done.err


def test_new_accepts_name_of_its_own_folder(empty, monkeypatch):
    empty.write("shop/notes.txt", "")
    monkeypatch.syspath_prepend(empty.path)
    empty.ok("new", "shop")
    assert (empty.path / "shop" / "shop" / "definitions.py").exists()


def test_new_uses_existing_folder(empty, monkeypatch):
    (empty.path / "shop").mkdir()
    monkeypatch.chdir(empty.path / "shop")
    done = empty.ok("new", ".")
    assert "cd " not in done.out
    assert (empty.path / "shop" / "shop" / "definitions.py").exists()
