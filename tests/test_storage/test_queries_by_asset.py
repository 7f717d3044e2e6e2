"""Questions about an asset may be asked with the asset itself."""

from __future__ import annotations

import pytest

import rivers as rs


@pytest.mark.parametrize("kind", ["memory", "embedded"])
def test_queries_accept_asset_instead_of_name(kind, tmp_path):
    @rs.Asset
    def orders() -> int:
        return 1

    storage = rs.Storage.memory() if kind == "memory" else rs.Storage.embedded(tmp_path)
    rs.CodeRepository([orders], config=False).resolve(storage).materialize()
    assert storage.get_latest_materialization(orders) == storage.get_latest_materialization("orders")
    assert storage.get_events_for_asset(orders) == storage.get_events_for_asset("orders")
    assert storage.get_asset_record(orders).asset_key == "orders"
    with pytest.raises(rs.exceptions.StorageError, match="name of an asset"):
        storage.get_events_for_asset(3)
    storage.close()
