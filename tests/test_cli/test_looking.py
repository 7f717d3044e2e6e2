"""Commands that look: assets, runs, log, load, handlers, plugins, config."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def run(project):
    project.ok("materialize")
    return project


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
def test_json_is_one_document_and_nothing_else(run, arguments):
    run.edit("definitions.py", "import rivers as rs", "import rivers as rs\n\nprint('imported')")
    assert run.ok(*arguments, "--json").document


def test_looking_begins_no_history(project):
    for arguments in (["assets"], ["runs"], ["log"], ["handlers"], ["graph", "--mermaid"]):
        project.ok(*arguments)
    assert not (project.path / ".rivers").exists()


def test_assets_tell_handler_age_and_freshness(run):
    run.edit("definitions.py", '@rs.Asset(group="raw")', '@rs.Asset(group="raw", code_version="2")')
    found = {one["asset"]: one for one in run.ok("assets", "--json").document}
    assert found["orders"]["values"][0]["state"] == "stale"
    assert "code version" in found["orders"]["values"][0]["reason"]
    assert found["counts"]["handler"] == "files"
    assert found["report"]["last"]["size_bytes"] > 0


def test_assets_before_the_first_run_are_missing(project):
    done = project.ok("assets")
    assert done.out.count("missing") == 3


def test_an_asset_whose_last_attempt_failed_says_so(project):
    project.edit("definitions.py", "return {name", 'raise OSError("disk full")\n    return {name')
    project.rivers("materialize")
    assert "missing; the last attempt failed" in project.ok("assets", "counts").out


def test_an_unknown_asset_names_the_nearest(project):
    done = project.rivers("assets", "ordrs")
    assert done.code == 2
    assert "Did you mean 'orders'" in done.err


def test_runs_are_listed_last_first_and_by_status(run):
    run.edit("definitions.py", "return {name", "1 / 0\n    return {name")
    run.rivers("materialize", "counts")
    assert [one["status"] for one in run.ok("runs", "--json").document] == ["failure", "success"]
    (failed,) = run.ok("runs", "--status", "failure", "--json").document
    assert failed["selection"] == ["counts"]
    assert "division by zero" in failed["message"]
    assert run.rivers("runs", "--status", "lost").code == 1


def test_the_log_of_the_last_run_is_in_the_order_of_events(run):
    events = [one["event"] for one in run.ok("log", "--json").document]
    assert events == ["RunStart", "Materialization", "Materialization", "Materialization", "RunSuccess"]


def test_the_log_of_an_asset_has_its_metadata(run):
    done = run.ok("log", "orders", "--metadata")
    assert "serializer: pickle" in done.out


def test_the_log_of_a_run_is_found_by_the_beginning_of_its_id(run):
    run_id = run.ok("runs", "--json").document[0]["run_id"]
    assert {one["run_id"] for one in run.ok("log", run_id[:6], "--json").document} == {run_id}


def test_a_log_of_nothing_known_names_the_nearest(run):
    done = run.rivers("log", "ordes")
    assert done.code == 2
    assert "Did you mean 'orders'" in done.err


def test_load_shows_the_beginning_of_a_value(run):
    done = run.ok("load", "orders", "--head", "2")
    assert "orders, list, 3 items (from files)" in done.out
    assert "'bread'\n'milk'\n" in done.out
    assert done.out.count("bread") == 1


def test_load_of_what_was_never_stored_says_what_to_do(project):
    done = project.rivers("load", "orders")
    assert done.code == 1
    assert "Materialize it first" in done.err


def test_handlers_are_what_is_configured_and_what_is_installed(run):
    found = {one["name"]: one for one in run.ok("handlers", "--json").document}
    assert {"files", "other", "memory", "pickle"} <= set(found)
    assert found["files"]["source"] == "rivers.toml"
    assert found["files"]["assets"] == ["orders", "counts", "report"]
    assert found["other"]["assets"] == []
    assert found["pickle"]["source"].startswith("rivers-pickle ")


def test_handlers_are_listed_although_the_code_is_broken(project):
    project.write("definitions.py", "1 / 0")
    done = project.ok("handlers")
    assert "files" in done.out
    assert "is not known" in done.err


def test_a_handler_shows_each_field_with_its_origin(project, monkeypatch):
    monkeypatch.setenv("RIVERS_IO_HANDLERS__FILES__PREFIX", "run")
    fields = {
        one["field"]: (one["value"], one["origin"])
        for one in project.ok("handlers", "show", "files", "--env", "prod", "--json").document["fields"]
    }
    assert fields["prefix"] == ("run", "environment")
    assert fields["fsync"] == ("False", "default")
    value, origin = fields["store"]
    assert value.endswith("/prod")
    assert origin == "file (prod)"


def test_an_installed_handler_shows_what_it_needs(project):
    done = project.ok("handlers", "show", "pickle")
    assert "(required)" in done.out
    assert "No asset uses it." in done.out


def test_a_handler_that_is_a_resource_is_shown_from_the_code(project_of):
    project = project_of(
        """
@rs.Asset(io_handler="shelf")
def total() -> int:
    return 1

repo = rs.CodeRepository([total], resources={"shelf": rs.PickleIOHandler(store="file:./shelf", prefix="p")})
"""
    )
    document = project.ok("handlers", "show", "shelf", "--json").document
    assert {"field": "prefix", "value": "p", "origin": "code"} in document["fields"]
    assert document["assets"][0]["asset"] == "total"


def test_an_unknown_handler_names_the_nearest(project):
    done = project.rivers("handlers", "show", "flies")
    assert done.code == 2
    assert "Did you mean 'files'" in done.err


def test_plugins_are_listed_without_importing_them(project):
    states = {one["entry_point"]: one for one in project.ok("plugins", "--json").document}
    assert states["pickle"]["state"] == "not loaded"
    assert states["pickle"]["distribution"] == "rivers-pickle"
    loaded = {one["entry_point"]: one for one in project.ok("plugins", "--load", "--json").document}
    assert loaded["pickle"]["provides"] == ["handler pickle"]


@pytest.mark.parametrize("strict", ["", "1"])
def test_a_broken_plugin_is_listed_with_the_reason_when_all_are_loaded(project, monkeypatch, strict):
    info = project.path / "site" / "acme_broken-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rivers]\nbroken = acme_broken\n")
    (project.path / "site" / "acme_broken.py").write_text("raise OSError('no such device')\n")
    monkeypatch.syspath_prepend(project.path / "site")
    monkeypatch.setenv("RIVERS_STRICT_PLUGINS", strict)
    done = project.rivers("plugins", "--load", "--json")
    assert done.code == 1
    states = {one["entry_point"]: one for one in done.document}
    assert states["broken"]["state"] == "broken"
    assert "no such device" in states["broken"]["error"]
    assert "no such device" in project.rivers("check").err


def test_what_the_configuration_denies_is_not_imported(project):
    project.write("rivers.toml", '[plugins]\ndeny = ["rivers-pickle"]\n')
    states = {one["entry_point"]: one for one in project.ok("plugins", "--load", "--json").document}
    assert states["pickle"]["state"] == "denied"
    assert "deny" in states["pickle"]["error"]


def test_the_schema_knows_the_settings_of_installed_handlers(project):
    schema = json.loads(project.ok("config", "schema").out)
    assert "signing_key" in schema["$defs"]["pickle"]["properties"]


def test_config_show_says_which_environment_is_in_force(project):
    document = project.ok("config", "show", "--env", "prod", "--json").document
    assert document["environment"] == "prod"
    assert document["default_io_handler"] == "files"
    assert project.path.name in document["path"]


def test_without_a_project_it_says_how_to_begin_one(empty):
    for arguments in (["materialize"], ["assets"], ["config", "show"]):
        done = empty.rivers(*arguments)
        assert done.code == 2
        assert "rivers new" in done.err


def test_a_repository_without_configuration_is_named_on_the_command_line(empty):
    empty.write(
        "pipeline.py",
        "import rivers as rs\n\n@rs.Asset\ndef one() -> int:\n    return 1\n\n"
        "def make():\n    return rs.CodeRepository([one])\n",
    )
    empty.ok("materialize", "--repository", "pipeline:make")
    assert (empty.path / ".rivers" / "rivers.db").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("definitions", "write it as module:name"),
        ("definitions:rpo", "It has repo."),
        ("definitions:orders", "is no CodeRepository but"),
        ("defintions:repo", "There is no module 'defintions'"),
    ],
)
def test_a_wrong_repository_says_what_is_there_instead(project, name, said):
    done = project.rivers("assets", "--repository", name)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("code", "said"),
    [("1 / 0", "1 / 0"), ("import nothing_like_this", "nothing_like_this"), ("def (", "SyntaxError")],
)
def test_an_error_in_the_projects_code_shows_its_lines_alone(project, code, said):
    project.write("definitions.py", code)
    done = project.rivers("assets")
    assert done.code == 2
    assert said in done.err
    assert "rivers_cli" not in done.err
    assert "'definitions' could not be imported" in done.err


def test_an_error_of_the_projects_own_handler_shows_its_lines_alone(project_of):
    project = project_of(
        """
class Feed(rs.BaseIOHandler):
    def handle_output(self, context, obj):
        pass
    def load_input(self, context):
        raise ConnectionError("no route to the feed")

@rs.Asset(io_handler=Feed())
def feed() -> int:
    return 1

repo = rs.CodeRepository([feed])
"""
    )
    done = project.rivers("load", "feed")
    assert done.code == 1
    assert 'raise ConnectionError("no route to the feed")' in done.err
    assert "rivers_cli" not in done.err
    assert "partition_key=" in project.rivers("load", "feed", "--traceback").err
