"""Commands of plugins: the policy under which they are imported, and conflicting names."""

from __future__ import annotations

import pytest

COMMANDS = """
from rivers_core.hooks import CommandSpec, hookimpl

@hookimpl
def rivers_cli_commands():
    yield CommandSpec("greet", "{package}.cmd:greet", "Greet from {package}.")
    yield CommandSpec("assets", "{package}.cmd:greet")
    yield CommandSpec("number", "{package}.cmd:NUMBER")
"""

GREET = """
NUMBER = 3

def greet(env: str = "none", name: str = "you"):
    print("hello from {package}")
"""

DENIED_IN_PROD = """
repository = "definitions:repo"
[environments.dev]
[environments.prod.plugins]
deny = ["aa-greet"]
"""


@pytest.fixture
def installed(empty, monkeypatch):
    """Install a package with commands, or with another plugin module."""
    site = empty.path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def install(distribution, entry_point="", plugin=COMMANDS, announces=True):
        package = distribution.replace("-", "_")
        empty.write(f"site/{package}/__init__.py", "")
        empty.write(f"site/{package}/plugin.py", plugin.format(package=package))
        empty.write(f"site/{package}/cmd.py", GREET.format(package=package))
        info = f"site/{package}-1.0.dist-info"
        empty.write(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        point = f"{entry_point or package} = {package}.plugin\n"
        empty.write(
            f"{info}/entry_points.txt", f"[rivers]\n{point}" + announces * f"[rivers.commands]\n{point}"
        )
        return empty

    return install


@pytest.fixture
def aa(installed):
    folder = installed("aa-greet")
    folder.write("rivers.toml", DENIED_IN_PROD)
    return folder


def is_imported(folder, *arguments):
    """Return whether a call imported the plugin, and the result of the call."""
    trace = folder.path / "imported"
    trace.unlink(missing_ok=True)
    plugin = f"open({str(trace)!r}, 'w').close()\n{COMMANDS.format(package='aa_greet')}"
    folder.write("site/aa_greet/plugin.py", plugin)
    done = folder.rivers(*arguments)
    return trace.exists(), done


@pytest.mark.parametrize(
    "arguments",
    [
        ["greet", "--env", "prod"],
        ["greet", "--env=prod"],
        ["--env", "prod", "greet"],
        ["--env", "dev", "greet", "--env", "prod"],
        ["--env", "prod", "--help"],
        ["--env", "prod", "config", "schema"],
        ["--env", "prod", "nonsense"],
    ],
    ids=" ".join,
)
def test_plugin_denied_by_env_option_is_not_imported(aa, arguments):
    assert not is_imported(aa, *arguments)[0]


def test_plugin_denied_by_env_variable_is_not_imported(aa, monkeypatch):
    aa.write(".env", "RIVERS_ENV=prod\n")
    imported, done = is_imported(aa, "greet")
    assert not imported
    assert done.code == 2
    assert "aa-greet 1.0; it is denied by 'aa-greet' (`deny` in rivers.toml)" in done.err
    (aa.path / ".env").unlink()
    monkeypatch.setenv("RIVERS_ENV", "prod")
    assert not is_imported(aa, "greet")[0]


def test_env_option_takes_precedence_over_variable(aa, monkeypatch):
    monkeypatch.setenv("RIVERS_ENV", "prod")
    imported, done = is_imported(aa, "--env", "dev", "greet")
    assert imported
    assert done.out == "hello from aa_greet\n"


def test_env_option_of_plugin_selects_no_environment(aa, monkeypatch):
    monkeypatch.setenv("RIVERS_ENV", "prod")
    assert not is_imported(aa, "greet", "--env", "something-else")[0]


def test_policy_of_config_option_applies(aa):
    (aa.path / "elsewhere").mkdir()
    (aa.path / "rivers.toml").rename(aa.path / "elsewhere" / "rivers.toml")
    assert not is_imported(aa, "greet", "--config", "elsewhere", "--env", "prod")[0]
    assert is_imported(aa, "greet")[0]


def test_unreadable_policy_denies_all_plugins(aa):
    for text in ("this is not toml", "[plugins]\nallow = 3", "[plugins.pin]\ngreet = 3"):
        aa.write("rivers.toml", text)
        imported, done = is_imported(aa, "greet")
        assert not imported
        assert done.code == 2
        assert "Plugins were not loaded" in done.err


@pytest.mark.parametrize("variable", ["COMP_WORDS", "_TYPER_COMPLETE_ARGS"])
def test_completion_does_not_import_denied_plugin(aa, monkeypatch, variable):
    monkeypatch.setenv("_RIVERS_COMPLETE", f"complete_{'bash' if variable == 'COMP_WORDS' else 'zsh'}")
    monkeypatch.setenv(variable, 'rivers --env prod gre "')
    monkeypatch.setenv("COMP_CWORD", "3")
    assert not is_imported(aa)[0]


@pytest.fixture
def both(installed):
    installed("aa-greet")
    return installed("bb-greet")


def test_conflicting_command_name_is_an_error(both):
    done = both.rivers("greet")
    assert done.code == 2
    assert done.out == ""
    assert "claimed by aa-greet 1.0 and bb-greet 1.0" in done.err


def test_qualified_name_or_pin_resolves_conflict(both):
    assert both.ok("bb-greet:greet").out == "hello from bb_greet\n"
    both.write("rivers.toml", '[plugins]\npin = { greet = "bb-greet" }\n')
    assert both.ok("greet").out == "hello from bb_greet\n"


def test_help_lists_conflicting_commands_by_qualified_name(both):
    listed = both.ok("--help").out
    assert "aa-greet:greet" in listed
    assert "bb-greet:greet" in listed
    assert "\n  greet " not in listed
    assert "Did you mean 'greet'?" in both.rivers("grete").err


def test_builtin_command_hides_that_of_plugin(both):
    for command in (["plugins", "--load"], ["check"]):
        done = both.rivers(*command)
        output = done.out + done.err
        assert "'assets' of aa-greet 1.0" in output
        assert "rivers aa-greet:assets" in output
        assert "'greet' is claimed by aa-greet 1.0 and bb-greet 1.0" in output
    assert both.ok("aa-greet:assets").out == "hello from aa_greet\n"
    remarks = {
        item["distribution"]: item["remarks"] for item in both.ok("plugins", "--load", "--json").document
    }
    assert "rivers aa-greet:assets" in remarks["aa-greet"][0]
    assert remarks["rivers-pickle"] == []


HANDLER = """
from rivers_core import BaseIOHandler, HandlerSpec, hookimpl

class Swapped(BaseIOHandler):
    def handle_output(self, obj, context): pass
    def load_input(self, context): pass

@hookimpl
def rivers_io_handlers():
    yield HandlerSpec("{package}", "{package}.plugin:Swapped")

@hookimpl
def rivers_run_start(): pass
"""


def test_plugins_and_check_report_mistakes_of_authors(installed):
    folder = installed("swapping", plugin=HANDLER, announces=False)
    folder.write("rivers.toml", "")
    listed = folder.rivers("plugins", "--load", "--json")
    assert listed.code == 1
    remarks = {item["distribution"]: item["remarks"] for item in listed.document}
    assert "rivers.observers" in remarks["swapping"][0]
    assert "Swapped.handle_output(self, obj, context)" in remarks["swapping"][1]
    assert len(remarks["swapping"]) == 2
    checked = folder.rivers("check")
    assert "rivers.observers" in checked.out + checked.err
    assert "Swapped.handle_output(self, obj, context)" in checked.out + checked.err


def test_command_without_announcement_is_unknown_and_reported(installed, monkeypatch):
    folder = installed("aa-greet", announces=False)
    assert folder.rivers("greet").code == 2
    remarks = {
        item["distribution"]: item["remarks"] for item in folder.ok("plugins", "--load", "--json").document
    }
    assert any("rivers.commands" in text for text in remarks["aa-greet"])
    monkeypatch.setenv("RIVERS_PLUGINS_DENY", "aa-*")
    assert "aa-greet" not in folder.rivers("greet").err


def test_command_line_loads_plugins_with_commands_only(installed):
    folder = installed("aa-greet", announces=False)
    for arguments in (["--help"], ["plugins"], ["greet"], ["assets", "--help"]):
        assert not is_imported(folder, *arguments)[0]


def test_missing_command_names_broken_plugin(installed):
    folder = installed("brk", plugin="import no_such_module")
    for name in ("brk", "other"):
        done = folder.rivers(name)
        assert done.code == 2
        assert "The plugin 'brk' of brk 1.0" in done.err
        assert "no_such_module" in done.err
    assert "'brk' not found" not in folder.rivers("brk").err


def test_strict_plugins_name_broken_one(installed, monkeypatch):
    installed("brk", plugin="import no_such_module")
    folder = installed("aa-greet")
    monkeypatch.setenv("RIVERS_STRICT_PLUGINS", "1")
    done = folder.rivers("greet")
    assert done.code == 2
    assert "The plugin 'brk' of brk 1.0" in done.err
    assert "materialize" in folder.ok("--help").out


def test_qualified_name_explains_why_command_is_missing(aa, monkeypatch):
    assert "pip install zz" in aa.rivers("zz:greet").err
    assert "command 'nope'. It provides: aa-greet:assets" in aa.rivers("aa-greet:nope").err
    monkeypatch.setenv("RIVERS_PLUGINS_DENY", "aa-*")
    for name in ("aa_greet", "aa-greet:greet"):
        done = aa.rivers(name)
        assert done.code == 2
        assert "aa-greet 1.0 is not available: it is denied by 'aa-*'" in done.err


def test_invalid_command_target_names_package(aa):
    done = aa.rivers("number")
    assert done.code == 2
    assert "'number' of aa-greet 1.0" in done.err
    assert "must be a function or a typer.Typer, got int" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("typed", "suggested"), [("run", "materialize"), ("ls", "assets"), ("materialise", "materialize")]
)
def test_unknown_command_suggests_the_right_one(installed, typed, suggested):
    result = installed("aa-greet").rivers(typed)
    assert result.code == 2
    assert f"Did you mean '{suggested}'" in " ".join(result.err.split())
