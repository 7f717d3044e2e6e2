"""Help: lists commands, ends with examples, imports little."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from rivers_cli.lazy_group import COMMANDS
from rivers_core.hooks import CommandSpec, hookimpl
from rivers_core.plugins import get_registry

RIVERS = Path(sys.executable).with_name("rivers")

BELOW = [("handlers", "show"), ("config", "show"), ("config", "schema")]


def test_help_lists_every_command_with_summary(empty):
    done = empty.ok("--help")
    for name, command in COMMANDS.items():
        assert f"  {name} " in done.out
        assert command.summary in done.out
        assert f"{command.section}:" in done.out


@pytest.mark.parametrize("command", [(name,) for name in COMMANDS] + BELOW, ids=" ".join)
def test_help_of_command_ends_with_examples(empty, command):
    lines = empty.ok(*command, "--help").out.splitlines()
    examples = [line.strip() for line in lines[lines.index("Examples:") + 1 :]]
    assert examples
    assert all(line.startswith("$ ") for line in examples)
    assert any(f"rivers {' '.join(command)}" in line for line in examples)


def test_help_of_command_starts_with_description(empty):
    for name in COMMANDS:
        assert empty.ok(name, "--help").out.splitlines()[2].strip()


def test_help_imports_neither_engine_nor_pydantic_nor_rich():
    code = "import sys\nfrom rivers_cli.main import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
    code += (
        "print([name for name in ('rivers', 'pydantic', 'rich', 'obstore', 'yaml') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_in_project_reads_only_plugin_policy(project):
    code = "import sys\nfrom rivers_cli.main import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
    code += "print([name for name in ('rivers', 'pydantic', 'rich', 'definitions') if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project.path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_version_is_that_of_engine(empty):
    assert empty.ok("--version").out == f"rivers {importlib.metadata.version('rivers-io')}\n"


def test_help_is_default_command(empty):
    done = empty.rivers()
    assert "Usage: rivers" in done.out + done.err


@pytest.mark.parametrize(
    ("typed", "meant"), [("materialise", "materialize"), ("aset", "assets"), ("plugin", "plugins")]
)
def test_misspelt_command_suggests_nearest(empty, typed, meant):
    done = empty.rivers(typed)
    assert done.code == 2
    assert f"Did you mean '{meant}'?" in done.err


def test_options_before_or_after_command(project):
    before = project.ok("--env", "prod", "handlers", "show", "files", "--json").document
    after = project.ok("handlers", "show", "files", "--json", "--env", "prod").document
    assert before == after


class Greeting:
    """A plugin with a command, a group of commands, and one that takes the name of another."""

    @hookimpl
    def rivers_cli_commands(self):
        yield CommandSpec("greet", f"{__name__}:greet", "Greet somebody.")
        yield CommandSpec("assets", f"{__name__}:greet", "Never shown.")
        yield CommandSpec("absent", "no_such_module:command", "Is not there.")


def greet(name: str = "you") -> None:
    """Greet somebody.

    Examples:
      $ rivers greet --name Ada
    """
    print(f"hello {name}")


@pytest.fixture
def greeting(monkeypatch):
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    get_registry().register(Greeting(), "greeting")


@pytest.mark.usefixtures("greeting")
def test_plugin_command_is_listed_and_runs(empty):
    assert "From plugins:" in empty.ok("--help").out
    assert empty.ok("greet", "--name", "Ada").out == "hello Ada\n"
    assert "$ rivers greet --name Ada" in empty.ok("greet", "--help").out
    assert "--traceback" in empty.ok("greet", "--help").out


@pytest.mark.usefixtures("greeting")
def test_plugin_command_cannot_replace_builtin(empty):
    assert "Never shown" not in empty.ok("--help").out


@pytest.mark.usefixtures("greeting")
def test_broken_plugin_command_names_distribution(empty):
    done = empty.rivers("absent")
    assert done.code == 2
    assert "greeting" in done.err
    assert "no_such_module" in done.err
    assert "Traceback" not in done.err


def test_help_works_with_broken_configuration(empty):
    for text in ("this is not toml", "[plugins]\nallow = 3", "plugins = 3"):
        empty.write("rivers.toml", text)
        assert "materialize" in empty.ok("--help").out
