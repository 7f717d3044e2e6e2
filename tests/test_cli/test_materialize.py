"""`rivers materialize`: selection, partitions, resumption, output and exit code."""

from __future__ import annotations

import pytest


def materialized(project, *arguments):
    return project.ok("materialize", *arguments, "--json").document["materialized"]


def test_materialize_runs_all_assets_by_default(project):
    done = project.ok("materialize")
    assert project.files("data") == ["counts.pkl", "orders.pkl", "report.pkl"]
    assert "report  stored with files" in done.out
    assert "3 of 3 stored" in done.err


def test_materialize_prints_each_step_once(project):
    done = project.ok("materialize")
    assert (done.out + done.err).count("report") == 1


def test_materialize_runs_named_assets_alone(project):
    project.ok("materialize")
    assert materialized(project, "report") == ["report"]


def test_materialize_upstream_includes_dependencies(project):
    assert materialized(project, "counts", "--upstream") == ["orders", "counts"]


def test_materialize_records_job(project):
    assert materialized(project, "--job", "nightly") == ["orders", "counts"]
    assert project.ok("runs", "--json").document[0]["job"] == "nightly"


def test_materialize_rejects_job_with_names(project):
    done = project.rivers("materialize", "orders", "--job", "nightly")
    assert done.code == 2
    assert "--job cannot be combined" in done.err


def test_only_stale_skips_fresh_assets(project):
    project.ok("materialize")
    assert materialized(project, "--only-stale") == []
    project.edit("definitions.py", '@rs.Asset(group="raw")', '@rs.Asset(group="raw", code_version="2")')
    project.edit("definitions.py", '"milk", "bread"]', '"milk"]')
    assert materialized(project, "--only-stale") == ["orders", "counts", "report"]
    document = project.ok("materialize", "--only-stale", "--json").document
    assert {item["asset"] for item in document["skipped"]} == {"orders", "counts", "report"}


def test_environment_has_separate_values_and_event_log(project):
    project.ok("materialize")
    done = project.ok("materialize", "--only-stale", "--env", "prod", "--json")
    assert done.document["materialized"] == ["orders", "counts", "report"]
    assert project.files("prod") == ["counts.pkl", "orders.pkl", "report.pkl"]


def test_materialize_json_is_alone_on_stdout(project):
    done = project.ok("materialize", "--json")
    assert done.document["success"] is True
    assert "fetching orders" in done.err


def test_materialize_json_excludes_output_of_subprocesses(project):
    project.edit("definitions.py", 'print("fetching orders")', 'import os; os.system("echo from a program")')
    done = project.ok("materialize", "--json")
    assert done.document["success"] is True
    assert "from a program" in done.err


FAILING = """
@rs.Asset
def good() -> int:
    return 1

@rs.Asset
def bad() -> int:
    raise ValueError("no such number")

@rs.Asset
def needs_bad(bad: int) -> int:
    return bad

@rs.Asset
def needs_good(good: int) -> int:
    return good + 1

repo = rs.CodeRepository([bad, needs_bad, good, needs_good])
"""


def test_failure_skips_only_dependent_assets(project_of):
    done = project_of(FAILING).rivers("materialize", "--json")
    assert done.code == 1
    document = done.document
    assert document["materialized"] == ["good", "needs_good"]
    assert document["failed"] == [{"asset": "bad", "message": "ValueError: no such number"}]
    assert [item["asset"] for item in document["skipped"]] == ["needs_bad"]


def test_failure_names_every_partition_key(project_of):
    definitions = """
import rivers as rs

@rs.Asset(partitions_def=rs.PartitionsDefinition.static_(["a", "b", "c"]))
def odd(context: rs.AssetExecutionContext) -> int:
    if context.partition_key != "b":
        raise ValueError(f"no number for {context.partition_key}")
    return 1

repo = rs.CodeRepository([odd])
"""
    (failed,) = (
        project_of(definitions).rivers("materialize", "--partitions", "all", "--json").document["failed"]
    )
    assert failed["asset"] == "odd"
    assert all(fact in failed["message"] for fact in ("2 partition keys", "a, c", "no number for a"))


def test_fail_fast_stops_at_first_failure(project_of):
    project = project_of(FAILING)
    done = project.rivers("materialize", "--fail-fast", "--json")
    assert done.code == 1
    assert done.document["materialized"] == []


def test_failure_shows_lines_of_project_only(project_of):
    done = project_of(FAILING).rivers("materialize")
    assert 'raise ValueError("no such number")' in done.err
    assert "run_step" not in done.err
    assert "Resume with: rivers materialize --resume" in done.err


def test_traceback_option_shows_whole_traceback(project_of):
    assert "run_step" in project_of(FAILING).rivers("materialize", "--traceback").err


def test_resume_accepts_start_of_run_id(project_of):
    project = project_of(FAILING)
    run = project.rivers("materialize", "--json").document["run_id"]
    project.edit("definitions.py", 'raise ValueError("no such number")', "return 2")
    document = project.ok("materialize", "--resume", run[:8], "--json").document
    assert document["run_id"] == run
    assert document["materialized"] == ["bad", "needs_bad"]


def test_resume_repeats_selection_of_run(project_of):
    project = project_of(FAILING)
    run = project.rivers("materialize", "bad", "--json").document["run_id"]
    project.edit("definitions.py", 'raise ValueError("no such number")', "return 2")
    assert project.ok("materialize", "--resume", run, "--json").document["materialized"] == ["bad"]


def test_resume_rejects_unknown_run(project):
    done = project.rivers("materialize", "--resume", "nothing")
    assert done.code == 2
    assert "'nothing' not found" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reprot"], "Did you mean 'report'"),
        (["--job", "nigthly"], "Did you mean 'nightly'"),
        (["--executor", "teleport"], "--executor teleport"),
        (["--executor", "in_process:max=1"], "--executor in_process:max=1"),
        (["--executor", "parallel:max_workers=0"], "max_workers"),
        (["--tag", "x"], "--tag must be key=value, got 'x'"),
        (["--set", "x=1"], "--set must be asset.field=value"),
        (["--partition", "2024-01-01"], "none of the selected assets is partitioned"),
        (["--env", "pord"], "Did you mean 'prod'"),
        (["--config", "nowhere.toml"], "nowhere.toml"),
        (["--nonsense"], "--nonsense"),
        (["--timeout", "0"], "--timeout must be a positive number"),
        (["--timeout", "soon"], "--timeout"),
        (["--partitions", "mising"], "--partitions must be one of"),
        (["--job", "nightly", "report"], "--job cannot be combined"),
        (["--resume", "nothing"], "Run 'nothing' not found"),
        (["--set", "report.top=1"], "config of 'report'"),
        (["--repository", "definitions:rpo"], "It has repo"),
    ],
)
@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)], ids=["run", "dry"])
def test_invalid_call_is_one_message_and_exit_code_2(project, arguments, message, dry_run):
    done = project.rivers("materialize", *arguments, *dry_run)
    assert done.code == 2, done.err
    assert message in done.err
    assert "Traceback" not in done.err
    assert done.out == ""


def test_tags_are_recorded_with_run(project):
    project.ok("materialize", "--tag", "why=test", "--tag", "who=me")
    assert project.ok("runs", "--json").document[0]["tags"] == {"why": "test", "who": "me"}


def test_set_configures_function(project_of):
    project = project_of(
        """
from pydantic import BaseModel

class Limits(BaseModel):
    top: int = 3

@rs.Asset
def best(context: rs.AssetExecutionContext[Limits]) -> list[int]:
    return list(range(context.config.top))

repo = rs.CodeRepository([best])
"""
    )
    project.ok("materialize", "--set", "best.top=5")
    assert project.ok("load", "best", "--json").document["head"] == [0, 1, 2, 3, 4]
    done = project.rivers("materialize", "--set", "best.top=many")
    assert done.code == 2
    assert "config of 'best': top" in done.err


PARTITIONED = """
days = rs.PartitionsDefinition.daily("2024-01-01", "2024-01-06")

@rs.Asset(partitions_def=days)
def daily(context: rs.AssetExecutionContext) -> rs.PartitionedOutput:
    keys = [str(key) for key in context.partition.keys]
    return rs.PartitionedOutput({key: f"on {key}" for key in keys})

grid = rs.PartitionsDefinition.multi({"day": days, "shop": rs.PartitionsDefinition.static_(["a", "b"])})

@rs.Asset(partitions_def=grid)
def sales(context: rs.AssetExecutionContext) -> rs.PartitionedOutput:
    return rs.PartitionedOutput({str(key): 1 for key in context.partition.keys})

repo = rs.CodeRepository([daily, sales])
"""


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (["-p", "2024-01-02"], ["2024-01-02"]),
        (["-p", "2024-01-02", "-p", "2024-01-04"], ["2024-01-02", "2024-01-04"]),
        (["-p", "2024-01-02..2024-01-04"], ["2024-01-02", "2024-01-03", "2024-01-04"]),
    ],
)
def test_partition_option_selects_keys_or_range(project_of, arguments, keys):
    project = project_of(PARTITIONED)
    done = project.ok("materialize", "daily", *arguments)
    assert [line.split("[")[1][:10] for line in done.out.splitlines()] == keys
    assert project.ok("load", "daily", "-p", keys[0], "--json").document["head"] == f"on {keys[0]}"


def test_only_stale_skips_fresh_partitions(project_of):
    project = project_of(PARTITIONED)
    project.ok("materialize", "daily", "-p", "2024-01-02")
    done = project.ok("materialize", "daily", "-p", "2024-01-01..2024-01-03", "--only-stale")
    assert "fresh for 1 of the 3 partition keys: 2024-01-02" in done.out + done.err
    assert "1 of 1 stored" in done.err


def test_partition_range_of_one_dimension(project_of):
    project = project_of(PARTITIONED)
    project.ok("materialize", "sales", "-p", "day=2024-01-01..2024-01-02|shop=a,b")
    (sales,) = project.ok("assets", "sales", "--json").document
    assert sum(item["count"] for item in sales["ranges"] if item["state"] == "fresh") == 4


def test_unknown_partition_suggests_closest(project_of):
    done = project_of(PARTITIONED).rivers("materialize", "daily", "-p", "2024-01-07")
    assert done.code == 2
    assert "2024-01-0" in done.err


def test_resume_command_repeats_options(project_of):
    project = project_of(PARTITIONED.replace('f"on {key}"', "1 / 0"))
    done = project.rivers("materialize", "daily", "-p", "2024-01-02..2024-01-03")
    assert "rivers materialize daily --partition 2024-01-02..2024-01-03 --resume" in done.err


def test_sys_exit_of_function_cancels_run(project_of):
    project = project_of(
        "@rs.Asset\ndef leaves() -> int:\n    raise SystemExit(0)\n\nrepo = rs.CodeRepository([leaves])\n"
    )
    done = project.rivers("materialize")
    assert done.code == 1
    assert "called sys.exit(0)" in done.err
    assert project.ok("runs", "--json").document[0]["status"] == "Canceled"


def test_resume_repeats_partition_range(project_of):
    project = project_of(PARTITIONED.replace('f"on {key}"', "1 / 0"))
    asked = ["daily", "-p", "2024-01-02..2024-01-03"]
    run = project.rivers("materialize", *asked, "--json").document["run_id"]
    project.edit("definitions.py", "1 / 0", "1")
    done = project.ok("materialize", "--resume", run)
    assert done.out.count("daily [2024-01-0") == 2


def test_environment_requires_configuration(empty):
    empty.write("definitions.py", "raise AssertionError('imported')")
    for command in (["materialize", "--repository", "definitions:repo"], ["check"], ["assets"], ["plugins"]):
        done = empty.rivers(*command, "--env", "prod")
        assert done.code == 2
        assert "--env prod: rivers.toml not found" in done.err
        assert "Traceback" not in done.err


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("option", ["--env", "--config", "--repository"])
def test_empty_option_of_all_commands_is_rejected(project, monkeypatch, option, position):
    monkeypatch.setenv("RIVERS_ENV", "prod")
    words = ["materialize"]
    words[position:position] = [option, ""]
    done = project.rivers(*words)
    assert done.code == 2
    assert option in done.err
    assert project.files("data") == []


@pytest.mark.parametrize(
    "words",
    [
        ["materialize", ""],
        *(
            ["materialize", option, ""]
            for option in ("-j", "-x", "-p", "--partitions", "--exclude", "--resume")
        ),
        ["assets", ""],
        ["delete", ""],
        ["load", "orders", "-p", ""],
        ["log", "--export", ""],
        ["runs", "--status", ""],
        ["handlers", "show", ""],
        ["new", ""],
        ["graph", "--output", ""],
    ],
    ids=" ".join,
)
def test_empty_text_is_rejected(project, words):
    done = project.rivers(*words)
    assert (done.code, done.out) == (2, "")
    assert "must not be empty" in done.err
    assert project.files("data") == []


def test_timeout_limits_assets_without_a_limit(project_of):
    project = project_of(
        """
import time

def sleep() -> None:
    time.sleep(0.3)

repo = rs.CodeRepository(
    [rs.Asset(sleep, name="bounded", timeout=60), rs.Asset(sleep, name="unbounded")],
    jobs=[rs.Job("long", ["unbounded"], timeout=60), rs.Job("free", ["unbounded"])],
)
"""
    )
    done = project.rivers("materialize", "--timeout", "0.01", "--json")
    assert (done.code, done.document["materialized"]) == (1, ["bounded"])
    assert project.rivers("materialize", "--job", "free", "--timeout", "0.01").code == 1
    assert "--timeout 0.01 --resume" in project.rivers("materialize", "unbounded", "--timeout", "0.01").err
    project.ok("materialize", "--job", "long", "--timeout", "0.01")


def test_dry_run_of_a_resumed_run_shows_what_is_left(project):
    project.edit("definitions.py", "return {name", "1 / 0\n    return {name")
    project.rivers("materialize")
    (run,) = project.ok("runs", "--json").document
    steps = project.ok("materialize", "--resume", run["run_id"], "--dry-run", "--json").document
    assert [step["name"] for step in steps] == ["counts", "report"]
    assert len(project.ok("runs", "--json").document) == 1


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("d=1..2|region=us|region=eu", "dimension 'region' is given twice"),
        ("d=1|d=1..2", "dimension 'd' is given twice"),
        ("d=1..2|eu", "'eu' has no dimension"),
    ],
)
def test_ambiguous_partition_range_is_rejected(project_of, key, message):
    project = project_of(
        """
both = rs.PartitionsDefinition.multi({
    "d": rs.PartitionsDefinition.static_(["1", "2"]), "region": rs.PartitionsDefinition.static_(["us", "eu"]),
})

@rs.Asset(partitions_def=both)
def sales(context: rs.AssetExecutionContext) -> rs.PartitionedOutput:
    return rs.PartitionedOutput({key: str(key) for key in context.partition.keys})

repo = rs.CodeRepository([sales])
"""
    )
    done = project.rivers("materialize", "-p", key)
    assert done.code == 2
    assert message in done.err
    assert project.files("data") == []


def test_materialize_json_lists_stopped_step(project_of):
    project = project_of(
        """
@rs.Asset
def first() -> int:
    return 1

@rs.Asset
def second(first: int) -> int:
    raise KeyboardInterrupt

repo = rs.CodeRepository([first, second])
"""
    )
    done = project.rivers("materialize", "--json")
    assert done.code == 130
    assert done.document["materialized"] == ["first"]
    assert done.document["stopped"] == ["second"]
    assert project.rivers("materialize", "first", "--json").document["stopped"] == []


def test_partitions_selects_missing_keys(project):
    project.edit("definitions.py", '@rs.Asset(group="raw")', '@rs.Asset(group="raw", partitions_def=CELLS)')
    project.edit(
        "definitions.py",
        "import rivers as rs",
        "import rivers as rs\n\nCELLS = rs.PartitionsDefinition.static_(['a', 'b'])",
    )
    project.edit("definitions.py", "orders: list[str]", "orders: dict")
    document = project.ok("materialize", "--partition", "a", "--json").document
    assert document["materialized"] == ["orders"]
    assert [item["asset"] for item in document["skipped"]] == ["counts", "report"]
    assert materialized(project, "orders", "--partitions", "missing") == ["orders"]
    assert materialized(project, "orders", "--partitions", "missing") == []
    assert project.ok("runs", "--json").document[0]["partition"] == "partitions: missing"
    for arguments in (
        ["--partitions", "latest"],
        ["--partitions", "mising"],
        ["--partitions", "all", "-p", "a"],
    ):
        assert project.rivers("materialize", "orders", *arguments).code == 2
