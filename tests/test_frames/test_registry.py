"""Frame types of installed packages, and of plugins that are broken or wrong."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType, SimpleNamespace

import polars as pl
import pytest

from rivers_core.exceptions import PluginLoadError, RiversError
from rivers_frames import FrameTypeRegistry, FrameTypeSpec, hookimpl, registry

SPEC = FrameTypeSpec("acme.Frame", "acme.frames:FrameAdapter")


def plugin(hook):
    module = ModuleType("acme_plugin")
    module.rivers_frame_types = hook
    return module


def rivers_frame_types():
    yield SPEC


def test_registry_isolates_broken_plugin():
    def explode():
        raise RuntimeError("no")

    entry = SimpleNamespace(name="bad", dist=SimpleNamespace(name="acme"), load=explode)
    types = FrameTypeRegistry(entry_points=[entry])
    assert types.for_class(pl.DataFrame) is not None
    assert isinstance(types.broken["acme:bad"], RuntimeError)


def test_registry_loads_entry_point():
    entry = SimpleNamespace(name="acme", load=lambda: plugin(hookimpl(rivers_frame_types)))
    assert FrameTypeRegistry(entry_points=[entry]).for_name("acme.Frame") is SPEC


def test_registry_reports_unmarked_hook():
    types = FrameTypeRegistry([("acme", plugin(lambda: [SPEC])), ("empty", ModuleType("empty"))], [])
    assert types.for_name("acme.Frame") is None
    assert "hookimpl" in str(types.broken["acme"])
    assert "rivers_frame_types" in str(types.broken["empty"])


def test_registry_reports_records_of_another_kind():
    @hookimpl
    def rivers_frame_types():
        yield "acme.Frame"

    types = FrameTypeRegistry([("acme", plugin(rivers_frame_types))], [])
    assert "'acme.Frame'" in str(types.broken["acme"])


def test_registry_reports_type_of_two_plugins():
    module = plugin(hookimpl(rivers_frame_types))
    types = FrameTypeRegistry(
        [("acme", module), ("zeta", plugin(hookimpl(lambda: [FrameTypeSpec("acme.Frame", "z:A")])))], []
    )
    assert types.for_name("acme.Frame") is SPEC
    assert "acme and by zeta" in str(types.broken["zeta"])


def test_registry_reports_adapter_import_error():
    types = FrameTypeRegistry(entry_points=[])
    with pytest.raises(PluginLoadError, match="no_such_module"):
        types.adapter(FrameTypeSpec("x.Y", "no_such_module:Adapter"))


def test_registry_without_library_names_pip_command(monkeypatch):
    monkeypatch.setattr(registry, "_is_installed", lambda module: False)
    with pytest.raises(RiversError, match="pip install"):
        FrameTypeRegistry(entry_points=[]).installed()


def test_registry_reports_requirement_of_hint(monkeypatch):
    acme = ModuleType("acme")
    acme.Frame = type("Frame", (), {})
    monkeypatch.setitem(sys.modules, "acme", acme)
    spec = FrameTypeSpec("acme.Frame", "acme.frames:FrameAdapter", ("acme-arrow",))
    types = FrameTypeRegistry([("acme", plugin(hookimpl(lambda: [spec])))], [])
    for ask in (types.can_load, types.can_store):
        for hint in (acme.Frame, acme.Frame | None):
            with pytest.raises(PluginLoadError, match="pip install acme-arrow"):
                ask(hint)


@pytest.mark.parametrize("name", ["frame", "polars DataFrame", ""])
def test_type_spec_needs_dotted_name(name):
    with pytest.raises(ValueError, match="dotted name"):
        FrameTypeSpec(name, "a:B")


def test_package_import_is_light():
    heavy = ["polars", "pyarrow", "pandas", "arro3"]
    code = f"""
import sys, rivers_frames.hooks
rivers_frames.get_frame_types().for_hint(int)
print([name for name in {heavy} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
