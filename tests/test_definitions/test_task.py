from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from rivers import BashTask, PartitionMapping, RetryPolicy, Task
from rivers.exceptions import ExecutionError, TaskDefinitionError
from rivers.partitions import PartitionsDefinition


def test_task_from_decorator_and_call():
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


def test_task_keeps_partitions():
    days, mapping = PartitionsDefinition.daily("2024-01-01", "2024-01-03"), PartitionMapping.identity()
    task = Task(lambda x: x, name="t", partitions_def=days, partition_mapping=mapping)
    assert (task.partitions_def, task.partition_mapping) == (days, mapping)


@pytest.mark.parametrize(
    "options",
    [{"name": ""}, {"tags": "a"}, {"io_handler": object()}, {"partition_mapping": "identity"}, {"retry": 2}],
)
def test_task_error_names_invalid_option(options):
    with pytest.raises(TaskDefinitionError, match=next(iter(options))):
        Task(lambda: 1, **{"name": "t", **options})


def test_bash_task_value_is_stdout():
    assert BashTask("greet", ["printf", "%s", "hello  world"])() == "hello  world"
    assert BashTask("greet", "echo one && echo two | tr a-z A-Z")() == "one\nTWO"


def test_bash_task_runs_list_without_shell():
    assert BashTask("greet", ["echo", "$HOME;", "*"])() == "$HOME; *"


def test_bash_task_env_extends_process_env(monkeypatch):
    monkeypatch.setenv("FROM_OUTSIDE", "outside")
    monkeypatch.setenv("BOTH", "outside")
    task = BashTask("env", "echo $FROM_OUTSIDE $BOTH $OWN", env={"BOTH": "own", "OWN": "own"})
    assert task() == "outside own own"
    assert os.environ["BOTH"] == "outside"


def test_bash_task_runs_in_cwd(tmp_path):
    (tmp_path / "data.txt").write_text("42")
    assert BashTask("read", ["cat", "data.txt"], cwd=tmp_path)() == "42"


def test_bash_task_keeps_arguments_as_attributes(tmp_path):
    task = BashTask("read", ["cat", "x"], env={"A": "b"}, cwd=tmp_path, tags=["t"], retry="often")
    assert isinstance(task, Task)
    assert (task.name, task.command, task.env, task.cwd) == ("read", ["cat", "x"], {"A": "b"}, str(tmp_path))
    assert (task.tags, task.retry, task.is_async) == (["t"], "often", False)
    assert task.signature.parameters == ()
    assert task.signature.return_hint is str
    assert repr(task) == "BashTask('read')"


def test_bash_task_error_names_task_code_stderr():
    with pytest.raises(ExecutionError, match=r"Task 'load'.*code 3.*\nno such table") as caught:
        BashTask("load", "echo no such table >&2; exit 3")()
    assert "echo no such table" in str(caught.value)


def test_bash_task_error_shortens_stderr():
    script = "import sys; sys.stderr.write('x' * 5000 + 'the end'); sys.exit(1)"
    with pytest.raises(ExecutionError, match="the end") as caught:
        BashTask("load", [sys.executable, "-c", script])()
    assert len(str(caught.value)) < 2500


def test_bash_task_error_without_stderr():
    with pytest.raises(ExecutionError, match="standard error is empty"):
        BashTask("load", ["false"])()


def test_bash_task_error_names_signal():
    with pytest.raises(ExecutionError, match="was killed by SIGTERM"):
        BashTask("load", "kill -TERM $$")()


def test_bash_task_rejects_unknown_command(tmp_path):
    with pytest.raises(ExecutionError, match="'no-such-command'"):
        BashTask("load", ["no-such-command"])()
    with pytest.raises(ExecutionError, match="nowhere"):
        BashTask("load", ["true"], cwd=tmp_path / "nowhere")()


def test_bash_task_interrupt_kills_process_group(monkeypatch):
    started = []

    def interrupted(self, *args, **kwargs):
        started.append(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "communicate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        BashTask("sleep", "sleep 60 & sleep 60")()
    assert started[0].returncode == -signal.SIGKILL


@pytest.mark.parametrize("command", ["", "  ", [], [""], 3, ["echo", 3], None])
def test_bash_task_rejects_invalid_command(command):
    with pytest.raises(TaskDefinitionError, match="Task 'bad'.*command"):
        BashTask("bad", command)


@pytest.mark.parametrize("options", [{"env": {"A": 1}}, {"env": ["A=1"]}, {"cwd": 3}])
def test_bash_task_error_names_invalid_option(options):
    with pytest.raises(TaskDefinitionError, match=f"Task 'bad'.*{next(iter(options))}"):
        BashTask("bad", "true", **options)


@pytest.mark.parametrize("text", ["a\r\nb\rc\r", "\ufeffé\u2028", ""])
def test_bash_task_keeps_output_unchanged(text):
    assert BashTask("write", ["printf", "%s", text])() == text


def test_bash_task_rejects_output_that_is_not_utf8():
    with pytest.raises(ExecutionError, match=r"'write'.*UTF-8.*2 of 4"):
        BashTask("write", r"printf 'ab\377\376'")()


def test_bash_task_error_replaces_invalid_stderr():
    with pytest.raises(ExecutionError, match="code 3.*\n\ufffddisk"):
        BashTask("broken", r"printf '\377disk' >&2; exit 3")()
