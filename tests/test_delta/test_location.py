"""Each asset has a separate folder below `table_uri`, whatever its name."""

from __future__ import annotations

import os
import pickle
import re
from itertools import product

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import rivers as rs
from rivers_core.exceptions import ConflictError, InvalidMetadataError
from rivers_delta import DeltaIOHandler
from rivers_delta.log import location
from rivers_delta.log.location import folder_name, table_root
from tests.test_delta.support import Lake

SAFE = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~=+@,-")


def test_folder_name_is_unique_without_case():
    names = ["".join(letters) for size in (1, 2, 3) for letters in product("aB/%~_ .é2", repeat=size)]
    assert len({folder_name(name, None).casefold() for name in names}) == len(names)


@given(st.lists(st.text(min_size=1, max_size=120), min_size=2, max_size=2, unique=True))
def test_folder_name_is_safe(names):
    folders = [folder_name(name, None) for name in names]
    assert folders[0].casefold() != folders[1].casefold()
    for folder in folders:
        assert set(folder) <= SAFE
        assert folder not in {".", ".."}
        assert len(folder) <= 255


@pytest.mark.parametrize(
    "name", ["orders", "Orders/Daily", "a b", "ü", "100%", "x" * 400, "g/t", "~", "con", "[a]"]
)
def test_folder_name_of_any_asset_works(tmp_path, name):
    lake = Lake(tmp_path)
    lake.store(pl.DataFrame({"n": [1]}), name)
    for hint in (pl.DataFrame, pl.LazyFrame, pa.Table):
        assert (
            len(
                pa.table(
                    lake.load(hint, name).lazy().collect() if hint is not pa.Table else lake.load(hint, name)
                )
            )
            == 1
        )
    assert len(os.listdir(tmp_path)) == 1


@pytest.mark.parametrize("folder", ["plain", "with space", "with ü", "a=b", "it's", "a;b", "50 percent"])
def test_table_uri_accepts_ordinary_folders(tmp_path, folder):
    lake = Lake(tmp_path / folder)
    lake.store(pl.DataFrame({"r": ["us"], "n": [1]}), keys="us", partition_expr="r")
    for hint in (pl.DataFrame, pl.LazyFrame, pa.Table):
        loaded = lake.load(hint, keys="us", partition_expr="r")
        assert pl.DataFrame(loaded.collect() if hint is pl.LazyFrame else loaded).height == 1


@pytest.mark.parametrize(
    "wrong", ["", "  ", "/data/100%/lake", "/data/[lake]", "/data/a|b", "s3:/bucket", "GS:bucket/x"]
)
def test_table_uri_refuses_misread_folders(wrong):
    with pytest.raises(ValidationError, match="table_uri"):
        DeltaIOHandler(table_uri=wrong)


def test_table_root_of_urls_and_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert table_root("lake") == str(tmp_path / "lake")
    assert table_root("file:./lake") == str(tmp_path / "lake")
    assert table_root("file:///data/my%20lake/") == "/data/my lake"
    assert table_root("s3://bucket/lake/") == "s3://bucket/lake"


def test_root_name_replaces_asset_name(lake):
    lake.store(pl.DataFrame({"n": [1]}), "orders", root_name="legacy_orders")
    assert os.listdir(table_root(lake.handler.table_uri)) == ["legacy_orders"]
    for wrong in ("../x", "/etc", "a/b", "..", "", "a\\b", 3):
        with pytest.raises(InvalidMetadataError, match="delta/root_name"):
            lake.store(pl.DataFrame({"n": [1]}), "orders", root_name=wrong)


def test_storage_location_is_unique(lake):
    where = lake.handler.storage_location
    assert where("orders", None) == where("other", {"delta/root_name": "orders"})
    assert where("orders", None) != where("Orders", None)
    assert where("orders", {"delta/root_name": "../x"}) is None


def test_storage_location_is_normalized(tmp_path):
    (tmp_path / "lake").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "lake")
    roots = [tmp_path / "lake", tmp_path / "link", f"file:{tmp_path}/lake/", tmp_path / "x/../lake"]
    assert len({Lake(root).handler.storage_location("orders", None) for root in roots}) == 1
    urls = ["s3://bucket/lake", "s3a://bucket/lake/", "S3://bucket/lake"]
    assert len({Lake(url).handler.storage_location("orders", None) for url in urls}) == 1


@pytest.mark.parametrize(
    "roots", [("lake", "lake/orders"), ("lake", "lake/orders/eu/raw"), ("s3://b/l", "s3://b/l/orders/x")]
)
def test_storage_location_nested_is_found_at_resolve(tmp_path, roots):
    outer, inner = (root if "://" in root else str(tmp_path / root) for root in roots)

    @rs.Asset(io_handler=DeltaIOHandler(table_uri=inner))
    def items() -> pl.DataFrame: ...

    @rs.Asset(io_handler=DeltaIOHandler(table_uri=outer))
    def orders() -> pl.DataFrame: ...

    @rs.Asset(io_handler=DeltaIOHandler(table_uri=outer))
    def orders_eu() -> pl.DataFrame: ...

    with pytest.raises(rs.exceptions.GraphValidationError) as refused:
        rs.CodeRepository([items, orders, orders_eu], config=False).validate()
    (finding,) = refused.value.findings
    assert re.fullmatch(
        r"asset 'items' would be stored at .*/items, inside asset 'orders' at .*/orders; .*", finding
    )


def test_nested_table_is_refused(lake):
    lake.store(pl.DataFrame({"n": [1]}), "orders")
    for inside in ("", "/a/b/c"):
        inner = Lake(f"{lake.handler.address('orders', None)}{inside}")
        with pytest.raises(ConflictError, match="is already a table"):
            inner.store(pl.DataFrame({"n": [1]}), "items")


@pytest.mark.server
def test_nested_table_in_object_store_is_refused(s3_server, s3_url):
    Lake(s3_url, storage_options=s3_server.options()).store(pl.DataFrame({"n": [1]}), "orders")
    inner = Lake(f"{s3_url}/orders/eu", storage_options=s3_server.options())
    with pytest.raises(ConflictError, match="/orders' is already a table"):
        inner.store(pl.DataFrame({"n": [1]}), "items")


@pytest.mark.parametrize("depth", ["", "/eu", "/eu/raw/of/shops"])
def test_enclosing_table_is_refused(lake, depth):
    Lake(f"{lake.handler.table_uri}/orders{depth}").store(pl.DataFrame({"n": [1]}), "items")
    with pytest.raises(ConflictError, match="items' is already a table"):
        lake.store(pl.DataFrame({"n": [1]}), "orders")
    lake.store(pl.DataFrame({"n": [1]}), "orders_too")


def test_enclosing_table_search_is_limited(lake, monkeypatch):
    for number in range(20):
        os.makedirs(f"{lake.handler.table_uri}/orders/{number}/_delta_log")
    looked = []
    monkeypatch.setattr(location, "_MAX_ENTRIES", 10)
    monkeypatch.setattr(
        location,
        "_folders",
        lambda folder, real=location._folders: (looked.append(one) or one for one in real(folder)),
    )
    lake.store(pl.DataFrame({"n": [1]}), "orders")
    assert len(looked) <= 11


@pytest.mark.parametrize("options", [{}, {"root_name": "_delta_log"}])
def test_folder_name_escapes_delta_log(lake, options):
    name = "orders" if options else "_delta_log"
    lake.store(pl.DataFrame({"n": [1]}), name, **options)
    lake.store(pl.DataFrame({"n": [2]}), "other")
    assert sorted(os.listdir(lake.handler.table_uri)) == ["other", "~_5Fdelta_log"]
    assert lake.load(pl.DataFrame, name, **options)["n"].to_list() == [1]
    assert len(lake.handler.maintain(dry_run=True, vacuum=False)) == 2


@pytest.mark.parametrize(
    "root", ["lake/_delta_log", "s3://bucket/orders/_delta_log/", "file:lake/_delta_log/x"]
)
def test_table_uri_refuses_delta_log(root):
    with pytest.raises(ValidationError, match="_delta_log"):
        DeltaIOHandler(table_uri=root)


def test_address_is_shown_without_credentials():
    handler = DeltaIOHandler(table_uri="s3://key:hunter2hunter2@bucket/lake")
    context = Lake.asked(object(), name="orders")
    assert "hunter2" not in handler.describe_address(context)
    assert "hunter2" not in handler.storage_location("orders", None)


def test_relative_table_uri_is_resolved_once(tmp_path, monkeypatch):
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "first")
    lake = Lake("./lake")
    monkeypatch.chdir(tmp_path / "second")
    lake.store(pl.DataFrame({"n": [1]}))
    copy = pickle.loads(pickle.dumps(lake.handler))
    assert copy.table_uri == str(tmp_path / "first" / "lake")
    assert copy.load_input(lake.asked(pl.DataFrame)).height == 1
    assert os.listdir(tmp_path / "second") == []
