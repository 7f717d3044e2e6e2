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
    install_handler("acme-json", "json")
    install_handler("zeta-json", "json")
    registry = PluginRegistry()
    acme, zeta = (registry.with_policy(pin={"json": name}) for name in ("acme-json", "zeta-json"))
    closed = registry.with_policy(deny=["acme-*"])
    for _ in range(2):
        assert acme.handler("json").__module__ == "acme_json.handler"
        assert zeta.handler("json").__module__ == "zeta_json.handler"
        assert closed.handler("json").__module__ == "zeta_json.handler"
        with pytest.raises(ConfigurationError, match="claimed by"):
            registry.handler("json")
    assert acme.handler("json") is registry.handler("acme-json:json")
    with pytest.raises(HandlerNotFoundError, match="denied by 'acme-\\*'"):
        closed.handler("acme-json:json")


def test_each_configuration_keeps_its_policy(install_handler):
    install_handler("acme-json", "json")
    install_handler("zeta-stuff", "json")
    registry = PluginRegistry()

    def load(use="json", **rules):
        tables = {"io_handlers": {"x": {"use": use}}, **({"plugins": rules} if rules else {})}
        return load_config(tables, registry=registry)

    acme, zeta = load(pin={"json": "acme-json"}), load(pin={"json": "zeta-stuff"})
    denied, free = load("acme-json:json", deny=["acme-*"]), load()
    assert type(acme.handler("x")).__module__ == "acme_json.handler"
    assert type(zeta.handler("x")).__module__ == "zeta_stuff.handler"
    with pytest.raises(ConfigurationError, match="claimed by"):
        free.handler("x")
    with pytest.raises(ConfigurationError, match="denied by 'acme-"):
        denied.handler("x")
    with pytest.raises(HandlerNotFoundError, match="denied by 'acme-"):
        registry.handler("acme-json:json")


def test_configure_applies_to_registries_without_policy(install_handler):
    install_handler("acme-json", "json")
    registry = PluginRegistry()
    free, ruled = registry.with_policy(), registry.with_policy(deny=["absent"])
    registry.configure(deny=["acme-json"])
    assert ruled.handler("json")
    for closed in (registry, free):
        with pytest.raises(HandlerNotFoundError):
            closed.handler("json")


def test_pin_resolves_conflict(install_handler):
    install_handler("acme-json", "json")
    install_handler("zeta-json", "json", entry_point="zeta")
    assert PluginRegistry(pin={"json": "zeta-json"}).handler("json").__module__ == "zeta_json.handler"
    registry = PluginRegistry(pin={"json": "acme-nothing"})
    with pytest.raises(HandlerNotFoundError, match="pip install acme-nothing"):
        registry.handler("json")
    registry.configure(pin={"json": "Acme_JSON"})
    assert registry.handler("json").__module__ == "acme_json.handler"
    assert registry.handler_class("JsonIOHandler").__module__ == "acme_json.handler"


def test_denied_plugin_is_not_imported(install_handler, monkeypatch):
    install_handler("acme-json", "json")
    registry = PluginRegistry()
    monkeypatch.setenv("RIVERS_PLUGINS_DENY", "other, acme-*")
    with pytest.raises(
        HandlerNotFoundError, match=r"comes with acme-json 1\.0.*denied by 'acme-\*' \(RIVERS_PLUGINS_DENY\)"
    ):
        registry.handler("json")
    with pytest.raises(AttributeError, match=r"'JsonIOHandler' comes with acme-json 1\.0.*denied by"):
        registry.handler_class("JsonIOHandler")
    assert "json" not in names(registry)
    assert "acme_json" not in sys.modules
    monkeypatch.delenv("RIVERS_PLUGINS_DENY")
    assert registry.handler("json")


def test_plugin_that_is_not_allowed_is_not_imported(install_handler, monkeypatch):
    install_handler("acme-json", "json")
    monkeypatch.setenv("RIVERS_PLUGINS_ALLOW", "rivers-*")
    registry = PluginRegistry(allow=["*"])
    with pytest.raises(HandlerNotFoundError, match=r"only rivers-\* is allowed \(RIVERS_PLUGINS_ALLOW\)"):
        registry.handler("acme-json:json")
    assert "acme_json" not in sys.modules
    assert "memory" in names(registry)


def test_policies_combine_and_apply_to_loaded_plugins(install_handler):
    install_handler("acme-json", "json")
    registry = PluginRegistry(deny=["absent"])
    assert registry.handler("json")
    registry.configure(deny=["acme-json"])
    with pytest.raises(HandlerNotFoundError, match=r"`deny` in rivers\.toml"):
        registry.handler("json")
    registry.configure()
    assert registry.handler("json")


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
