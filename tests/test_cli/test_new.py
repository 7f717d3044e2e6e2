"""`rivers new`: the created project works, existing files are kept."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.test_docs.test_pages import blocks_of
from tests.test_repository.checkout import DISTRIBUTIONS, ROOT


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
        ("rivers", "my-pipeline"),
        ("rivers-delta", "delta-pipeline"),
        ("polars", "polars-pipeline"),
        ("Pluggy", "pluggy-pipeline"),
        ("2shops", "Start with a letter"),
        ("class", "Start with a letter"),
        ("CON", "con-pipeline"),
        ("lpt1", "lpt1-pipeline"),
        ("nul.shop", "nul-shop-pipeline"),
        ("shop-", "'shop-'"),
        ("shop.", "'shop.'"),
        ("_shop", "'_shop'"),
        ("größe", "'größe'"),
        ("my shop", "'my shop'"),
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


@pytest.mark.parametrize(
    ("distribution", "name", "class_name"),
    [
        ("acme-duck", "duck", "DuckIOHandler"),
        ("acme-my-store", "my_store", "MyStoreIOHandler"),
        ("Acme.My_Store", "my_store", "MyStoreIOHandler"),
        ("duckstore", "duckstore", "DuckstoreIOHandler"),
        ("duckstore-rivers", "duckstore", "DuckstoreIOHandler"),
        ("acme-json", "acme_json", "AcmeJsonIOHandler"),  # the name of a handler of rivers
        ("acme-2", "acme_2", "Acme2IOHandler"),  # a class cannot be named 2IOHandler
        ("acme-base", "base", "AcmeBaseIOHandler"),  # the class would hide the one that it extends
    ],
)
def test_new_handler_derives_valid_names(empty, distribution, name, class_name):
    done = empty.ok("new", "--handler", distribution)
    assert repr(name) in done.out
    assert "--name" in done.out
    folder = empty.path / distribution
    package = re.sub("[-.]", "_", distribution.lower())
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == distribution
    assert project["entry-points"]["rivers"] == {name: f"{package}.plugin"}
    assert (
        f'HandlerSpec("{name}", target="{package}.handler:{class_name}"'
        in (folder / "src" / package / "plugin.py").read_text()
    )
    handler = (folder / "src" / package / "handler.py").read_text()
    assert f"class {class_name}(BaseIOHandler)" in handler
    compile(handler, "handler.py", "exec")


def test_new_handler_has_chosen_name(empty):
    done = empty.ok("new", "--handler", "acme-object-store", "--name", "acme.store")
    assert "'acme.store'" in done.out
    project = tomllib.loads((empty.path / "acme-object-store" / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["rivers"] == {"acme.store": "acme_object_store.plugin"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("--handler", "acme-duck", "--name", "Duck"),
        ("--handler", "acme-duck", "--name", ""),
        ("--handler", "acme-duck", "--name", "delta"),
        ("acme-duck", "--name", "duck"),
        ("--handler", "acme-"),
    ],
)
def test_new_handler_rejects_names(empty, arguments):
    done = empty.rivers("new", *arguments)
    assert done.code == 2
    assert empty.files() == []


@pytest.mark.parametrize("name", ["rivers", "rivers-", "rivers-zip", "json", "polars", "nul", "lpt1.x"])
@pytest.mark.parametrize("options", [(), ("--handler",)])
def test_new_suggests_name_that_it_accepts(empty, name, options):
    done = empty.rivers("new", *options, name)
    assert done.code == 2
    suggestion = re.search(r"such as (\S+)\.$", done.err)
    if name == "rivers-":
        assert suggestion is None
    else:
        assert suggestion is not None
        empty.ok("new", *options, suggestion[1])


def test_new_knows_names_of_our_handlers():
    from rivers_cli.commands.new import _OUR_HANDLERS
    from rivers_core.plugins import get_registry

    ours = {item.name for item in DISTRIBUTIONS}
    assert {
        item.spec.name for item in get_registry().handlers() if item.distribution in ours
    } == _OUR_HANDLERS


def test_new_handler_writes_files_of_the_docs(empty):
    empty.ok("new", "--handler", "acme-notes")
    shown = [
        block
        for block in blocks_of(ROOT / "docs" / "writing-a-handler.md")
        if block.title and (empty.path / "acme-notes" / block.title).exists()
    ]
    assert len(shown) == 5
    for block in shown:
        assert block.source == (empty.path / "acme-notes" / block.title).read_text(), block.title
