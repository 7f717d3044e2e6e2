from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from rivers.definitions import Asset, BashTask, Job, RetryPolicy, Task
from rivers.exceptions import ExecutionError, GraphValidationError, TaskDefinitionError
from rivers.mappings import PartitionMapping
from rivers_core.partitions import PartitionsDefinition


def test_a_task_may_be_bare_have_arguments_or_be_called():
    @Task
    def bare(x):
        return x

    @Task(name="other", tags=["t"], io_handler="pickle", retry=RetryPolicy(2))
    def named(x):
        return 2 * x

    called = Task(lambda x: 3 * x, name="third")
    assert [(task.name, task(2)) for task in (bare, named, called)] == [
        ("bare", 2),
        ("other", 4),
        ("third", 6),
    ]
    assert (named.tags, named.io_handler, named.retry) == (["t"], "pickle", RetryPolicy(2))
    assert repr(named) == "Task('other')"


def test_a_task_keeps_its_partitions():
    days, mapping = PartitionsDefinition.daily("2024-01-01", "2024-01-03"), PartitionMapping.identity()
    task = Task(lambda x: x, name="t", partitions_def=days, partition_mapping=mapping)
    assert (task.partitions_def, task.partition_mapping) == (days, mapping)


@pytest.mark.parametrize(
    "options",
    [{"name": ""}, {"tags": "a"}, {"io_handler": object()}, {"partition_mapping": "identity"}, {"retry": 2}],
)
def test_a_wrong_argument_of_a_task_is_named(options):
    with pytest.raises(TaskDefinitionError, match=next(iter(options))):
        Task(lambda: 1, **{"name": "t", **options})


def test_the_value_of_a_command_is_what_it_prints():
    assert BashTask("greet", ["printf", "%s", "hello  world"])() == "hello  world"
    assert BashTask("greet", "echo one && echo two | tr a-z A-Z")() == "one\nTWO\n"


def test_a_list_is_run_without_a_shell():
    assert BashTask("greet", ["echo", "$HOME;", "*"])() == "$HOME; *\n"


def test_variables_are_laid_over_those_of_the_process(monkeypatch):
    monkeypatch.setenv("FROM_OUTSIDE", "outside")
    monkeypatch.setenv("BOTH", "outside")
    task = BashTask("env", "echo $FROM_OUTSIDE $BOTH $OWN", env={"BOTH": "own", "OWN": "own"})
    assert task() == "outside own own\n"
    assert os.environ["BOTH"] == "outside"


def test_a_command_runs_in_its_folder(tmp_path):
    (tmp_path / "data.txt").write_text("42")
    assert BashTask("read", ["cat", "data.txt"], cwd=tmp_path)() == "42"


def test_arguments_of_a_command_are_attributes(tmp_path):
    task = BashTask("read", ["cat", "x"], env={"A": "b"}, cwd=tmp_path, tags=["t"], retry="often")
    assert isinstance(task, Task)
    assert (task.name, task.command, task.env, task.cwd) == ("read", ["cat", "x"], {"A": "b"}, str(tmp_path))
    assert (task.tags, task.retry, task.is_async) == (["t"], "often", False)
    assert task.signature.parameters == ()
    assert task.signature.return_hint is str
    assert repr(task) == "BashTask('read')"


def test_a_failing_command_names_task_code_and_error_output():
    with pytest.raises(ExecutionError, match=r"Task 'load'.*ended with code 3.*\nno such table") as caught:
        BashTask("load", "echo no such table >&2; exit 3")()
    assert "echo no such table" in str(caught.value)


def test_only_the_end_of_a_long_error_output_is_shown():
    script = "import sys; sys.stderr.write('x' * 5000 + 'the end'); sys.exit(1)"
    with pytest.raises(ExecutionError, match="the end") as caught:
        BashTask("load", [sys.executable, "-c", script])()
    assert len(str(caught.value)) < 2500


def test_a_silent_failure_says_so():
    with pytest.raises(ExecutionError, match="wrote nothing to standard error"):
        BashTask("load", ["false"])()


def test_a_killed_command_names_the_signal():
    with pytest.raises(ExecutionError, match="was killed by SIGTERM"):
        BashTask("load", "kill -TERM $$")()


def test_a_command_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(ExecutionError, match="'no-such-command' cannot be started"):
        BashTask("load", ["no-such-command"])()
    with pytest.raises(ExecutionError, match="cannot be started in"):
        BashTask("load", ["true"], cwd=tmp_path / "nowhere")()


def test_an_interrupt_ends_the_command_and_all_it_started(monkeypatch):
    started = []

    def interrupted(self, *args, **kwargs):
        started.append(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "communicate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        BashTask("sleep", "sleep 60 & sleep 60")()
    assert started[0].returncode == -signal.SIGKILL


@pytest.mark.parametrize("command", ["", "  ", [], [""], 3, ["echo", 3], None])
def test_a_command_is_text_or_a_list_of_it(command):
    with pytest.raises(TaskDefinitionError, match="Task 'bad'.*command"):
        BashTask("bad", command)


@pytest.mark.parametrize("options", [{"env": {"A": 1}}, {"env": ["A=1"]}, {"cwd": 3}])
def test_a_wrong_argument_of_a_command_is_named(options):
    with pytest.raises(TaskDefinitionError, match=f"Task 'bad'.*{next(iter(options))}"):
        BashTask("bad", "true", **options)


def test_a_job_names_what_it_runs():
    from rivers.definitions import AssetDef

    def pair():
        return {"a": 1, "b": 2}

    both = Asset.from_multi(wraps=pair, name="both", output_defs=[AssetDef("a"), AssetDef("b")])
    job = Job(
        "nightly", [Asset(lambda: 1, name="x"), "y", both, "a"], allow_incomplete_deps=True, retry="often"
    )
    assert job.selection == ["x", "y", "a", "b"]
    assert (job.allow_incomplete_deps, job.retry, job.executor) == (True, "often", None)
    assert repr(job) == "Job('nightly', assets=['x', 'y', 'a', 'b'])"


def test_a_job_runs_once_a_repository_has_bound_it():
    job = Job("nightly", ["x"])
    with pytest.raises(ExecutionError, match=r"repo.get_job\('nightly'\)"):
        job.execute()
    calls = []
    bound = job.bound(lambda job, **options: calls.append((job.name, options)))
    bound.execute(partition_key="a", raise_on_error=False)
    ((name, options),) = calls
    assert name == "nightly"
    assert (
        options.items()
        >= {"partition_key": "a", "tags": None, "config": None, "raise_on_error": False}.items()
    )


@pytest.mark.parametrize("assets", [[], "x", [3], [""], None])
def test_a_job_needs_assets(assets):
    with pytest.raises(GraphValidationError, match="Job 'nightly'.*assets"):
        Job("nightly", assets)


@pytest.mark.parametrize("text", ["a\r\nb\rc\n", "\ufeffé\u2028", ""])
def test_what_a_command_writes_comes_as_it_was_written(text):
    assert BashTask("write", ["printf", "%s", text])() == text


def test_what_is_no_text_is_refused_and_never_changed():
    with pytest.raises(ExecutionError, match=r"'write'.* not text in UTF-8, the first at place 2 of 4"):
        BashTask("write", r"printf 'ab\377\376'")()


def test_a_failure_is_told_whatever_bytes_it_wrote():
    with pytest.raises(ExecutionError, match="ended with code 3.*\n\ufffddisk"):
        BashTask("broken", r"printf '\377disk' >&2; exit 3")()
