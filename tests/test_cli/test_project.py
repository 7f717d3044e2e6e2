"""Project of a call: its repository, its errors, its event log."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    "arguments",
    [
        ["assets"],
        ["runs"],
        ["log"],
        ["log", "orders"],
        ["load", "counts"],
        ["handlers"],
        ["handlers", "show", "files"],
        ["plugins"],
        ["plugins", "--load"],
        ["config", "show"],
        ["check"],
        ["graph"],
        ["migrate", "--from", "files", "--to", "other", "--dry-run"],
    ],
)
def test_json_is_one_document_alone_on_stdout(run, arguments):
    run.edit("definitions.py", "import rivers as rs", "import rivers as rs\n\nprint('imported')")
    assert run.ok(*arguments, "--json").document


def test_reading_commands_create_no_event_log(project):
    for arguments in (["assets"], ["runs"], ["log"], ["handlers"], ["graph", "--mermaid"]):
        project.ok(*arguments)
    assert not (project.path / ".rivers").exists()


def test_missing_project_suggests_rivers_new(empty):
    for arguments in (["materialize"], ["assets"], ["config", "show"]):
        done = empty.rivers(*arguments)
        assert done.code == 2
        assert "rivers new" in done.err


def test_repository_option_needs_no_configuration(empty):
    empty.write(
        "pipeline.py",
        "import rivers as rs\n\n@rs.Asset\ndef one() -> int:\n    return 1\n\n"
        "def make():\n    return rs.CodeRepository([one])\n",
    )
    empty.ok("materialize", "--repository", "pipeline:make")
    assert (empty.path / ".rivers" / "rivers.db").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("definitions", "must be MODULE:NAME"),
        ("definitions:rpo", "It has repo."),
        ("definitions:orders", "must be a CodeRepository"),
        ("defintions:repo", "Module 'defintions'"),
    ],
)
def test_invalid_repository_is_explained(project, name, message):
    done = project.rivers("assets", "--repository", name)
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("code", "message"),
    [("1 / 0", "1 / 0"), ("import nothing_like_this", "nothing_like_this"), ("def (", "SyntaxError")],
)
def test_import_error_shows_lines_of_project_only(project, code, message):
    project.write("definitions.py", code)
    done = project.rivers("assets")
    assert done.code == 2
    assert message in done.err
    assert "rivers_cli" not in done.err
    assert "import 'definitions'" in done.err
