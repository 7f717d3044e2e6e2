"""Canonical roots of stores."""

from __future__ import annotations

import pytest

from rivers_core.authoring import locate_store


@pytest.mark.parametrize(
    ("address", "other"),
    [
        ("s3://b/x", "s3a://b/x/"),
        ("gs://b", "gcs://b"),
        ("az://lake/x", "abfss://lake@account.dfs.core.windows.net/x"),
        ("/data/x", "file:///data/x"),
        ("/data/a/../x", "/data/x/"),
    ],
)
def test_locate_store_unifies_spellings(address, other):
    root, other_root = locate_store(address), locate_store(other)
    assert root == other_root
    assert root.path_to(other_root) == other_root.path_to(root) == ()


def test_locate_store_follows_links(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "link").symlink_to("store", target_is_directory=True)
    assert locate_store(str(tmp_path / "link" / "x")) == locate_store(str(tmp_path / "store" / "x"))


def test_path_to_returns_folders_below():
    outer, inner = locate_store("s3://b/x"), locate_store("s3://b/x/y/z")
    assert outer.path_to(inner) == ("y", "z")
    assert inner.path_to(outer) is None
    assert outer.path_to(locate_store("s3://b/xy")) is None
    assert outer.path_to(locate_store("s3://other/x")) is None


def test_path_to_separates_known_services_only():
    local = locate_store("s3://b", {"endpoint": "http://127.0.0.1:9000"})
    amazon = locate_store("s3://b", {"aws_endpoint_url": "https://s3.eu-west-1.amazonaws.com/"})
    assert local.path_to(amazon) is None
    assert local.path_to(locate_store("s3://b")) == ()
    assert amazon.path_to(locate_store("s3://b", {"endpoint": "https://s3.amazonaws.com"})) == ()
