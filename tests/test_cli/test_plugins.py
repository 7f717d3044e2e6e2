"""`rivers plugins`: state of installed plugins, foreign distributions."""

from __future__ import annotations

import pytest

from rivers.inspection.check import foreign_distribution_message

BROKEN = """
try:
    raise OSError("no such device")
except OSError as error: raise LookupError("not found") from error
"""


def test_plugins_are_listed_without_import(project):
    states = {item["entry_point"]: item for item in project.ok("plugins", "--json").document}
    assert states["pickle"]["state"] == "not loaded"
    assert states["pickle"]["distribution"] == "rivers-pickle"
    loaded = {item["entry_point"]: item for item in project.ok("plugins", "--load", "--json").document}
    assert loaded["pickle"]["provides"] == ["handler pickle"]


@pytest.mark.parametrize("strict", ["", "1"])
def test_plugins_load_reports_broken_plugin(project, monkeypatch, strict):
    info = project.path / "site" / "acme_broken-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rivers]\nbroken = acme_broken\n")
    (project.path / "site" / "acme_broken.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(project.path / "site")
    monkeypatch.setenv("RIVERS_STRICT_PLUGINS", strict)
    done = project.rivers("plugins", "--load", "--json")
    assert done.code == 1
    states = {item["entry_point"]: item for item in done.document}
    assert states["broken"]["state"] == "broken"
    assert "LookupError: not found" in states["broken"]["error"]
    first, cause = states["broken"]["causes"]
    assert first.startswith("LookupError: not found (")
    assert first.endswith("acme_broken.py, line 4)")
    assert "no such device" in cause
    assert "LookupError: not found" in project.rivers("check").err


@pytest.mark.parametrize(
    ("record", "part"),
    [("'odd', 'acme_odd:Odd'", "load_input"), ("'odd', 'acme_odd:Odd', api_version=99", "99"),
     ("'odd', 'acme_odd:Missing'", "Missing")],
)  # fmt: skip
def test_plugins_load_fails_for_unusable_handler(project, fake_distribution, record, part):
    source = f"""
from rivers_core import BaseIOHandler
from rivers_core.hooks import HandlerSpec, hookimpl

class Odd(BaseIOHandler):
    def handle_output(self, context, obj): pass
    def load_input(self): pass

@hookimpl
def rivers_io_handlers():
    yield HandlerSpec({record})
"""
    fake_distribution("acme-odd", {"odd": "acme_odd"}, {"acme_odd.py": source})
    assert project.rivers("plugins", "--json").code == 0
    done = project.rivers("plugins", "--load", "--json")
    assert done.code == 1
    (remark,) = next(item["remarks"] for item in done.document if item["entry_point"] == "odd")
    assert part in remark
    causes = next(item["causes"] for item in done.document if item["entry_point"] == "odd")
    assert [line.partition(":")[0] for line in causes] == (["AttributeError"] if part == "Missing" else [])


def test_plugins_load_skips_denied_plugin(project):
    project.write("rivers.toml", '[plugins]\ndeny = ["rivers-pickle"]\n')
    states = {item["entry_point"]: item for item in project.ok("plugins", "--load", "--json").document}
    assert states["pickle"]["state"] == "denied"
    assert "deny" in states["pickle"]["error"]


def install_rivers(folder, monkeypatch, requirement):
    """Install a distribution `rivers`, from which project the requirement says."""
    info = folder / "site" / "rivers-9.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: rivers\nVersion: 9.1\n{requirement}")
    monkeypatch.syspath_prepend(folder / "site")


@pytest.mark.parametrize("requirement", ["Requires-Dist: pandas>=2\n", "Requires-Dist: rivers-cored\n"])
def test_foreign_distribution_is_recognized_by_requirements(tmp_path, monkeypatch, requirement):
    install_rivers(tmp_path, monkeypatch, requirement)
    assert "rivers 9.1" in foreign_distribution_message()


def test_foreign_distribution_is_not_the_engine(tmp_path, monkeypatch):
    install_rivers(tmp_path, monkeypatch, "Requires-Dist: Rivers_Core>=0.1\n")
    assert foreign_distribution_message() is None


@pytest.mark.parametrize("command", ["plugins", "check"])
def test_foreign_distribution_is_reported(project, monkeypatch, command):
    install_rivers(project.path, monkeypatch, "")
    done = project.ok(command, "--json")
    assert "rivers 9.1" in done.err + "".join(getattr(done.document, "get", lambda *_: [])("warnings", []))
    output = project.ok(command)
    assert "pip uninstall rivers" in output.err
    assert "rivers-io" in output.err


def test_foreign_distribution_is_not_reported_without_one(project):
    assert "pip uninstall" not in project.ok("plugins").err + project.ok("check").err
