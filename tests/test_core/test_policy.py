"""Policy: allow lists, deny lists, pins and strictness, from code, configuration and environment."""

from __future__ import annotations

import sys

import pytest

from rivers_core.config import load_config
from rivers_core.exceptions import ConfigurationError, HandlerNotFoundError, PluginLoadError
from rivers_core.plugins import PluginRegistry


def names(registry):
    return [provided.spec.name for provided in registry.handlers()]


@pytest.fixture
def registry(install_handler):
    install_handler("acme-good", "good")
    return PluginRegistry()


def test_with_policy_leaves_other_registries_unchanged(install_handler):
    install_handler("acme-yaml", "yaml")
    install_handler("zeta-yaml", "yaml")
    registry = PluginRegistry()
    acme, zeta = (registry.with_policy(pin={"yaml": name}) for name in ("acme-yaml", "zeta-yaml"))
    closed = registry.with_policy(deny=["acme-*"])
    for _ in range(2):
        assert acme.handler("yaml").__module__ == "acme_yaml.handler"
        assert zeta.handler("yaml").__module__ == "zeta_yaml.handler"
        assert closed.handler("yaml").__module__ == "zeta_yaml.handler"
        with pytest.raises(ConfigurationError, match="claimed by"):
            registry.handler("yaml")
    assert acme.handler("yaml") is registry.handler("acme-yaml:yaml")
    with pytest.raises(HandlerNotFoundError, match="denied by 'acme-\\*'"):
        closed.handler("acme-yaml:yaml")


def test_each_configuration_keeps_its_policy(install_handler):
    install_handler("acme-yaml", "yaml")
    install_handler("zeta-stuff", "yaml")
    registry = PluginRegistry()

    def load(use="yaml", **rules):
        tables = {"io_handlers": {"x": {"use": use}}, **({"plugins": rules} if rules else {})}
        return load_config(tables, registry=registry)

    acme, zeta = load(pin={"yaml": "acme-yaml"}), load(pin={"yaml": "zeta-stuff"})
    denied, free = load("acme-yaml:yaml", deny=["acme-*"]), load()
    assert type(acme.handler("x")).__module__ == "acme_yaml.handler"
    assert type(zeta.handler("x")).__module__ == "zeta_stuff.handler"
    with pytest.raises(ConfigurationError, match="claimed by"):
        free.handler("x")
    with pytest.raises(ConfigurationError, match="denied by 'acme-"):
        denied.handler("x")
    with pytest.raises(HandlerNotFoundError, match="denied by 'acme-"):
        registry.handler("acme-yaml:yaml")


def test_configure_applies_to_registries_without_policy(install_handler):
    install_handler("acme-yaml", "yaml")
    registry = PluginRegistry()
    free, ruled = registry.with_policy(), registry.with_policy(deny=["absent"])
    registry.configure(deny=["acme-yaml"])
    assert ruled.handler("yaml")
    for closed in (registry, free):
        with pytest.raises(HandlerNotFoundError):
            closed.handler("yaml")


def test_pin_resolves_conflict(install_handler):
    install_handler("acme-yaml", "yaml")
    install_handler("zeta-yaml", "yaml", entry_point="zeta")
    assert PluginRegistry(pin={"yaml": "zeta-yaml"}).handler("yaml").__module__ == "zeta_yaml.handler"
    registry = PluginRegistry(pin={"yaml": "acme-nothing"})
    with pytest.raises(HandlerNotFoundError, match="pip install acme-nothing"):
        registry.handler("yaml")
    registry.configure(pin={"yaml": "Acme_YAML"})
    assert registry.handler("yaml").__module__ == "acme_yaml.handler"
    assert registry.handler_class("YamlIOHandler").__module__ == "acme_yaml.handler"


def test_denied_plugin_is_not_imported(install_handler, monkeypatch):
    install_handler("acme-yaml", "yaml")
    registry = PluginRegistry()
    monkeypatch.setenv("RIVERS_PLUGINS_DENY", "other, acme-*")
    with pytest.raises(
        HandlerNotFoundError, match=r"comes with acme-yaml 1\.0.*denied by 'acme-\*' \(RIVERS_PLUGINS_DENY\)"
    ):
        registry.handler("yaml")
    with pytest.raises(AttributeError, match=r"'YamlIOHandler' comes with acme-yaml 1\.0.*denied by"):
        registry.handler_class("YamlIOHandler")
    assert "yaml" not in names(registry)
    assert "acme_yaml" not in sys.modules
    monkeypatch.delenv("RIVERS_PLUGINS_DENY")
    assert registry.handler("yaml")


def test_plugin_that_is_not_allowed_is_not_imported(install_handler, monkeypatch):
    install_handler("acme-yaml", "yaml")
    monkeypatch.setenv("RIVERS_PLUGINS_ALLOW", "rivers-*")
    registry = PluginRegistry(allow=["*"])
    with pytest.raises(HandlerNotFoundError, match=r"only rivers-\* is allowed \(RIVERS_PLUGINS_ALLOW\)"):
        registry.handler("acme-yaml:yaml")
    assert "acme_yaml" not in sys.modules
    assert "memory" in names(registry)


def test_policies_combine_and_apply_to_loaded_plugins(install_handler):
    install_handler("acme-yaml", "yaml")
    registry = PluginRegistry(deny=["absent"])
    assert registry.handler("yaml")
    registry.configure(deny=["acme-yaml"])
    with pytest.raises(HandlerNotFoundError, match=r"`deny` in rivers\.toml"):
        registry.handler("yaml")
    registry.configure()
    assert registry.handler("yaml")


def test_strict_raises_for_any_broken_plugin(fake_distribution, registry, monkeypatch):
    fake_distribution("acme-bad", {"bad": "acme_bad.plugin"}, {"acme_bad/plugin.py": "1 / 0"})
    monkeypatch.setenv("RIVERS_STRICT_PLUGINS", "1")
    with pytest.raises(PluginLoadError, match="acme-bad"):
        registry.handlers()
    with pytest.raises(PluginLoadError, match="acme-bad"):
        registry.handler("good")
    monkeypatch.setenv("RIVERS_STRICT_PLUGINS", "0")
    assert registry.handler("good")
    with pytest.raises(PluginLoadError):
        PluginRegistry(strict=True).load_all()


def test_refusal_of_distribution():
    registry = PluginRegistry(entry_points=[], deny=["acme-*"])
    assert "acme-*" in registry.refusal("acme-geo")
    assert registry.refusal("zeta") is None
