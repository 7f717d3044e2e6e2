"""Discovery: which plugins installed distributions announce."""

from __future__ import annotations

import importlib.metadata
import sys
import zipfile

import pytest

from rivers_core.exceptions import HandlerNotFoundError, PluginLoadError
from rivers_core.plugins import PluginRegistry


def names(registry):
    return [provided.spec.name for provided in registry.handlers()]


@pytest.fixture
def registry(install_handler):
    install_handler("acme-good", "good")
    return PluginRegistry()


def test_conflict_does_not_depend_on_installation_order(
    install_handler, distributions_folder, tmp_path, monkeypatch
):
    later = tmp_path / "later"
    later.mkdir()
    install_handler("zeta-yaml", "yaml")
    monkeypatch.syspath_prepend(str(later))
    install_handler("acme-yaml", "yaml", folder=later)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"acme-yaml 1\.0 and zeta-yaml 1\.0"):
            PluginRegistry().handler("yaml")
        sys.path.reverse()


def test_first_copy_of_distribution_on_path_counts(install_handler, tmp_path, monkeypatch):
    install_handler("acme-yaml", "yaml", version="1.0")
    editable = tmp_path / "editable"
    editable.mkdir()
    monkeypatch.syspath_prepend(str(editable))
    install_handler("acme-yaml", "yaml", version="2.0", folder=editable)
    registry = PluginRegistry()
    assert registry.handler_spec("yaml").version == "2.0"
    assert names(registry).count("yaml") == 1


def test_older_copy_does_not_revive_dropped_plugin(install_handler, fake_distribution, tmp_path, monkeypatch):
    install_handler("acme-yaml", "yaml", version="1.0")
    newer = tmp_path / "newer"
    newer.mkdir()
    monkeypatch.syspath_prepend(str(newer))
    fake_distribution("acme-yaml", "", {}, version="2.0", folder=newer)
    with pytest.raises(HandlerNotFoundError):
        PluginRegistry().handler("yaml")


def test_empty_metadata_folder_hides_no_later_copy(install_handler, tmp_path, monkeypatch):
    install_handler("acme-yaml", "yaml")
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "acme_yaml-0.9.dist-info").mkdir()
    assert PluginRegistry().handler_spec("yaml").version == "1.0"


def test_plugin_in_archive_on_path_is_found(tmp_path, monkeypatch, registry):
    archive = tmp_path / "plugins.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(
            "acme_zip-2.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: acme-zip\nVersion: 2.0\n"
        )
        file.writestr("acme_zip-2.0.dist-info/entry_points.txt", "[rivers]\nzip = acme_zip_plugin\n")
        file.writestr(
            "acme_zip_plugin.py",
            "from rivers_core.hooks import HandlerSpec, hookimpl\n"
            "@hookimpl\n"
            "def rivers_io_handlers():\n"
            "    yield HandlerSpec('zip', target='acme_zip_handler:ZipIOHandler')\n",
        )
    monkeypatch.syspath_prepend(str(archive))
    assert PluginRegistry().handler_spec("zip").version == "2.0"
    assert "good" in names(PluginRegistry())


def test_plugin_installed_while_running_is_found(install_handler):
    registry = PluginRegistry()
    with pytest.raises(HandlerNotFoundError):
        registry.handler("yaml")
    install_handler("acme-yaml", "yaml")
    assert registry.handler("yaml")


def test_entry_points_argument_replaces_installed(install_handler):

    install_handler("acme-yaml", "yaml")
    points = importlib.metadata.distribution("acme-yaml").entry_points
    registry = PluginRegistry(entry_points=[*points, *points])
    assert names(registry) == ["yaml"]
    assert PluginRegistry(entry_points=[]).plugins() == []


@pytest.mark.parametrize(
    "value", ["not a module", "acme_bad.plugin:thing", "1.2", "", "acme-bad", "acme_bad/plugin.py"]
)
def test_entry_point_that_is_not_a_module_is_broken(value, fake_distribution, registry):
    fake_distribution("acme-bad", {"bad": value}, {"acme_bad/plugin.py": ""}, version="2.5")
    with pytest.raises(PluginLoadError, match=r"acme-bad 2\.5.*is not a module.*bad = some_package\.plugin"):
        registry.handler("bad")
    assert registry.handler("good")
    assert "acme_bad" not in sys.modules


def test_malformed_entry_points_file_hides_no_other_plugin(fake_distribution, registry):
    fake_distribution("acme-bad", "[rivers]\nbad acme_bad.plugin\n", {}, version="2.5")
    info = fake_distribution("acme-binary", "", {})
    (info / "entry_points.txt").write_bytes(b"[rivers]\n\xff\xfe = x")
    # the record only: pydantic, if not imported yet, reads all entry points too and fails at this file
    assert registry.handler_spec("good")
    broken = next(state for state in registry.plugins() if state.distribution == "acme-bad")
    assert broken.state == "broken"
    assert "entry_points.txt cannot be read" in broken.error


def test_distribution_without_metadata_works(install_handler, distributions_folder):
    info = install_handler("acme-bare", "bare")
    (info / "METADATA").unlink()
    assert PluginRegistry().handler("bare").__name__ == "BareIOHandler"


def test_extra_of_engine_names_pip_command(fake_distribution):
    extra = 'Provides-Extra: ice\nRequires-Dist: rivers-ice>=1 ; extra == "ice"\n'
    fake_distribution("rivers-io", "", {}, metadata=extra)
    with pytest.raises(HandlerNotFoundError, match=r"pip install rivers-ice$"):
        PluginRegistry().handler("ice")
