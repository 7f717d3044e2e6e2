"""The Zstandard example passes the conformance kit, by name, and as a wrapper."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import rivers as rs
from rivers.graph.resolve_hooks import ResolveHooks
from rivers_core import BaseIOHandler, InputContext, OutputContext, PluginRegistry, load_config
from rivers_core.exceptions import IntegrityError
from rivers_memory import InMemoryIOHandler
from rivers_parquet import ParquetIOHandler
from rivers_pickle import PickleIOHandler
from rivers_testkit import PYTHON_SAMPLES, IOHandlerTests
from rivers_zstd.handler import ZstdIOHandler

EXAMPLE = Path(__file__).parents[2] / "docs/examples/rivers_zstd"


class TestConformance(IOHandlerTests):
    samples = PYTHON_SAMPLES
    model_examples = 5

    @pytest.fixture
    def handler(self, tmp_path):
        return ZstdIOHandler(inner=PickleIOHandler(tmp_path / "files", keep_versions=2), level=1)


class AsyncMemory(InMemoryIOHandler):
    async def handle_output(self, context, obj):
        super().handle_output(context, obj)

    async def load_input(self, context):
        return super().load_input(context)


@pytest.fixture
def installed(fake_distribution):
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    fake_distribution("rivers-zstd", project["entry-points"]["rivers"], {})


def test_capabilities_belong_to_instance(tmp_path):
    handlers = [ZstdIOHandler(inner=inner) for inner in (AsyncMemory(), PickleIOHandler(tmp_path))]
    assert [handler.locality for handler in handlers] == ["process", "host"]
    assert [handler.is_async_output for handler in handlers] == [True, False]
    assert [handler.has_versions for handler in handlers] == [False, True]


def test_asynchronous_handler_inside_is_awaited():
    @rs.Asset(io_handler=ZstdIOHandler(inner=AsyncMemory()))
    def orders() -> list[int]:
        return [1, 2]

    with rs.CodeRepository([orders], config=False) as repo:
        repo.materialize()
        assert repo.load_node("orders") == [1, 2]


def test_handler_inside_must_store_bytes(tmp_path):
    with pytest.raises(ValueError, match="ParquetIOHandler"):
        ZstdIOHandler(inner=ParquetIOHandler(tmp_path))


def test_plain_value_is_not_mistaken_for_compressed(tmp_path):
    inner = PickleIOHandler(tmp_path)
    inner.handle_output(OutputContext("orders"), [1])
    with pytest.raises(IntegrityError, match="'orders'"):
        ZstdIOHandler(inner=inner).load_input(InputContext("orders", "report"))


def test_config_names_handler_inside(installed, tmp_path):
    readme = (EXAMPLE / "README.md").read_text()
    (tmp_path / "rivers.toml").write_text(readme.split("```toml")[1].split("\n", 1)[1].split("```")[0])
    handler = load_config(tmp_path / "rivers.toml").handler("compressed")
    assert isinstance(handler, ZstdIOHandler)
    assert handler.level == 9
    assert isinstance(handler.inner, PickleIOHandler)


@pytest.mark.parametrize(("asset", "is_wrapped"), [("raw_orders", True), ("orders", False)])
def test_hook_wraps_selected_assets(monkeypatch, asset, is_wrapped):
    from rivers_zstd import plugin

    monkeypatch.setenv("RIVERS_ZSTD_ASSETS", "events, raw_*")
    registry = PluginRegistry()
    registry.register(plugin, "rivers-zstd")
    handler = ResolveHooks(registry).wrap(InMemoryIOHandler(), asset)
    assert isinstance(handler, ZstdIOHandler) == is_wrapped
    assert isinstance(handler, BaseIOHandler)
    assert ResolveHooks(registry).wrap(handler, asset) is handler
