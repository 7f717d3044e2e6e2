"""`rivers new`, and the path of a stranger from an empty folder to another environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def test_a_strangers_path_from_an_empty_folder(empty, monkeypatch):
    """New, a wrong handler name, the error, mended, materialize, look, another environment."""
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
    assert [one["values"][0]["state"] for one in empty.ok("assets", "--json").document] == ["fresh"] * 3

    empty.ok("materialize", "--env", "prod")
    assert empty.files("data-prod") == empty.files("data") == ["averages.pkl", "readings.pkl", "report.pkl"]


def test_a_new_project_passes_its_own_test_and_leaves_nothing_behind(empty):
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


def test_a_new_project_is_clean_for_linters_and_type_checkers(empty, pytestconfig):
    # rivers itself does not change with the project, and reading it takes most of the time
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


def test_nothing_that_exists_is_overwritten(empty):
    empty.ok("new", "shop")
    empty.write("shop/rivers.toml", "mine")
    done = empty.rivers("new", "shop")
    assert done.code == 2
    assert "rivers.toml exists already" in done.err
    assert (empty.path / "shop" / "rivers.toml").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("json", "json-pipeline"),
        ("rivers", "would hide"),
        ("2shops", "begin with a letter"),
        ("class", "begin with"),
    ],
)
def test_a_name_that_cannot_be_a_package_is_refused(empty, name, said):
    done = empty.rivers("new", name)
    assert done.code == 2
    assert said in done.err
    assert empty.files() == []


def test_a_project_may_be_made_in_a_folder_that_is_there(empty, monkeypatch):
    (empty.path / "shop").mkdir()
    monkeypatch.chdir(empty.path / "shop")
    done = empty.ok("new", ".")
    assert "cd " not in done.out
    assert (empty.path / "shop" / "shop" / "definitions.py").exists()
