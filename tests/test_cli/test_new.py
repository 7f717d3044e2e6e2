"""`rivers new`: the created project works, existing files are kept."""

from __future__ import annotations

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
    assert [item["ranges"][0]["state"] for item in empty.ok("assets", "--json").document] == ["fresh"] * 3

    empty.ok("materialize", "--env", "prod")
    assert empty.files("data-prod") == empty.files("data") == ["averages.pkl", "readings.pkl", "report.pkl"]


def test_new_project_passes_linter(empty):
    ruff = Path(sys.executable).with_name("ruff")
    if not ruff.exists():
        pytest.skip("ruff comes with the group `check`")
    empty.ok("new", "shop")
    done = subprocess.run(
        [ruff, "check", "--no-cache", "--isolated", "--line-length=120", "."],
        cwd=empty.path / "shop",
        capture_output=True,
        text=True,
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
        ("CON", "con-pipeline"),
        ("lpt1", "lpt1-pipeline"),
        ("nul.shop", "nul_shop-pipeline"),
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
