"""Comparison of the stores of two layers."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
from obstore.store import MemoryStore, S3Store

from rivers_core import load_config
from rivers_core.contexts import InputContext, OutputContext
from rivers_core.exceptions import ConfigurationError, RiversError
from rivers_core.handler import BaseIOHandler
from rivers_delta import DeltaIOHandler
from rivers_overlay import OverlayIOHandler
from rivers_pickle import PickleIOHandler

REFUSED = "also in the base, which must never be written to"

SAME = {
    "a slash at the end": ({"store": "file:./prod/"}, {"store": "./prod"}),
    "a prefix": ({"store": ".", "prefix": "prod"}, {"store": "./prod"}),
    "a link": ({"store": "./link"}, {"store": "./prod"}),
    "below a link": ({"store": "./link/lake"}, {"store": "./prod/lake"}),
    "flushing": ({"store": "./prod", "fsync": True}, {"store": "./prod"}),
    "a signature": ({"store": "./prod", "signing_key": "0123456789abcdef"}, {"store": "./prod"}),
    "a prefix in a bucket": ({"store": "s3://b/x"}, {"store": "s3://b", "prefix": "x"}),
    "another name of the scheme": ({"store": "s3a://b/x"}, {"store": "s3://b/x"}),
    "options": ({"store": "s3://b/x", "storage_options": {"region": "eu"}}, {"store": "s3://b/x"}),
    "an endpoint that only one names": (
        {"store": "s3://b/x", "storage_options": {"endpoint": "http://127.0.0.1:9000"}},
        {"store": "s3://b/x"},
    ),
    "two endpoints of one service": (
        {"store": "s3://b/x", "storage_options": {"endpoint": "https://s3.amazonaws.com"}},
        {"store": "s3://b/x", "storage_options": {"aws_endpoint_url": "https://s3.eu-west-1.amazonaws.com/"}},
    ),
    "delta, written differently": ({"table_uri": "./lake"}, {"table_uri": "./lake/"}),
    "delta, another mode": ({"table_uri": "./lake", "mode": "append"}, {"table_uri": "./lake"}),
    "delta, more options": (
        {"table_uri": "s3://b/lake", "storage_options": {"a": "b"}},
        {"table_uri": "s3a://b/lake/"},
    ),
    "two kinds of handlers": ({"store": "./lake"}, {"table_uri": "./lake"}),
    "a container": (
        {"table_uri": "az://lake/x"},
        {"table_uri": "abfss://lake@devs.dfs.core.windows.net/x"},
    ),
}
APART = {
    "siblings": ({"store": "./prod2"}, {"store": "./prod"}),
    "an inner folder": ({"store": "./prod", "prefix": "mine"}, {"store": "./prod"}),
    "two buckets": ({"store": "s3://b2/x"}, {"store": "s3://b/x"}),
    "two endpoints": (
        {"store": "s3://b/x", "storage_options": {"endpoint": "http://127.0.0.1:9000"}},
        {"store": "s3://b/x", "storage_options": {"endpoint": "https://s3.amazonaws.com"}},
    ),
    "two accounts": (
        {"table_uri": "abfss://lake@devs.dfs.core.windows.net/x"},
        {"table_uri": "az://lake/x", "storage_options": {"azure_storage_account_name": "prods"}},
    ),
    "two memories": ({"store": "memory://"}, {"store": "memory://"}),
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("prod").mkdir()
    Path("link").symlink_to("prod", target_is_directory=True)
    return tmp_path


def overlay(top, base):
    uses = [{"use": "delta" if "table_uri" in layer else "pickle", **layer} for layer in (top, base)]
    tables = {
        "top": uses[0],
        "base": uses[1],
        "whole": {"use": "overlay", "top": "top", "base": "base"},
    }
    return load_config({"io_handlers": tables}).handler("whole")


@pytest.mark.parametrize("case", SAME)
def test_overlay_rejects_one_store_in_every_spelling(case):
    for top, base in (SAME[case], SAME[case][::-1]):
        with pytest.raises(ConfigurationError, match=REFUSED):
            overlay(top, base)


@pytest.mark.parametrize("case", APART)
def test_overlay_accepts_two_stores(case):
    for top, base in (APART[case], APART[case][::-1]):
        assert overlay(top, base)


def test_overlay_checks_layers_of_base(tmp_path):
    production = DeltaIOHandler(table_uri=str(tmp_path / "lake"))
    inner = OverlayIOHandler(top=PickleIOHandler(tmp_path / "shared"), base=production)
    with pytest.raises(ValueError, match=REFUSED):
        OverlayIOHandler(top=DeltaIOHandler(table_uri=str(tmp_path / "lake"), mode="append"), base=inner)


def test_overlay_compares_store_objects_by_location():
    bucket = S3Store("b", prefix="x", region="eu-west-1")
    with pytest.raises(ValueError, match=REFUSED):
        OverlayIOHandler(top=PickleIOHandler(bucket), base=PickleIOHandler("s3://b/x"))
    memory = MemoryStore()
    with pytest.raises(ValueError, match=REFUSED):
        OverlayIOHandler(
            top=PickleIOHandler(memory, signing_key="0123456789abcdef"), base=PickleIOHandler(memory)
        )
    assert OverlayIOHandler(top=PickleIOHandler(memory, prefix="mine"), base=PickleIOHandler(memory))
    assert OverlayIOHandler(top=PickleIOHandler(MemoryStore()), base=PickleIOHandler(memory))


class Silent(BaseIOHandler):
    """Does not tell where values are, as a handler of two methods does not."""

    location_fields: ClassVar[tuple[str, ...]] = ("root",)

    folder: Path = Path("json")
    root: str = "."
    bucket: str = ""
    indent: int = 0

    def handle_output(self, context, obj):
        pass

    def load_input(self, context):
        pass


class Around(Silent):
    """Hands values on and does not say to whom."""

    inner: list[BaseIOHandler]


def test_overlay_compares_location_fields_without_store_root():
    with pytest.raises(ValueError, match=REFUSED):
        OverlayIOHandler(top=Silent(folder="./prod", indent=2), base=Silent(folder="link/../prod"))
    assert OverlayIOHandler(top=Silent(folder="mine"), base=Silent(folder="prod"))
    assert OverlayIOHandler(top=Silent(root="mine"), base=Silent(root="prod"))
    assert OverlayIOHandler(top=Silent(bucket="mine"), base=Silent(bucket="prod"))


def test_overlay_checks_handlers_inside_wrappers(tmp_path):
    production = PickleIOHandler(tmp_path / "prod")
    twin = PickleIOHandler(tmp_path / "prod", signing_key="0123456789abcdef")
    with pytest.raises(ValueError, match=REFUSED):
        OverlayIOHandler(top=Around(inner=[twin]), base=production)
    with pytest.raises(ValueError, match=REFUSED):
        OverlayIOHandler(top=production, base=Around(folder="elsewhere", inner=[twin]))


@pytest.mark.parametrize(("top", "base"), [("lake/mine", "lake"), ("lake", "lake/mine")])
def test_overlay_protects_folder_between_layers(top, base):
    handler = OverlayIOHandler(top=PickleIOHandler(top), base=PickleIOHandler(base))
    handler.handle_output(OutputContext("orders"), 1)
    for change in (
        lambda: handler.handle_output(OutputContext("mine"), 1),
        lambda: handler.delete(InputContext("mine", "report")),
    ):
        with pytest.raises(RiversError, match="'mine'.* name of the folder"):
            change()
    assert not list(Path("lake").glob("**/mine.pkl"))
