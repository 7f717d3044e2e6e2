"""Effect of each mode on existing rows, and the metadata of a write."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
import pytest

from rivers_core import MetadataValue, PartitionKey
from rivers_core.exceptions import AssetOutputValidationError, ConflictError, NotMaterializedError
from tests.test_delta.support import Lake, facts

ONE, TWO = pl.DataFrame({"n": [1]}), pl.DataFrame({"n": [2]})


def numbers(lake, **options):
    return sorted(lake.load(pl.DataFrame, **options)["n"].to_list())


def test_overwrite_keeps_older_versions(lake):
    lake.store(ONE)
    lake.store(TWO)
    assert numbers(lake) == [2]
    assert numbers(lake, version=0) == [1]


def test_append_adds_rows(lake):
    lake.store(ONE, mode="append")
    lake.store(TWO, mode="append")
    assert numbers(lake) == [1, 2]


def test_error_refuses_existing_table(lake):
    lake.store(ONE, mode="error")
    with pytest.raises(ConflictError, match="asset 'asset' already exists.*version 0"):
        lake.store(TWO, mode="error")
    assert numbers(lake) == [1]


def test_ignore_keeps_existing_table(lake):
    assert "ignored" not in facts(lake.store(ONE, mode="ignore"))
    context = lake.store(TWO, mode="ignore")
    assert facts(context)["ignored"] is True
    assert facts(context)["rows_written"] == 0
    assert facts(context)["num_rows"] == 1
    assert context.content_version == f"{lake.table().metadata().id}@0"
    assert numbers(lake) == [1]


def several(lake, keys, number, mode):
    table = pa.table({"k": keys, "n": [number] * len(keys)})
    return lake.store(table, keys=[PartitionKey(key) for key in keys], partition_expr="k", mode=mode)


def test_error_refuses_partitions_if_one_exists(lake):
    several(lake, ["a"], 1, "error")
    with pytest.raises(ConflictError, match="'a' of partitions 'a', 'b' of asset 'asset' already exists"):
        several(lake, ["a", "b"], 2, "error")
    assert lake.load(pl.DataFrame).rows() == [("a", 1)]


def test_ignore_stores_missing_partitions(lake):
    several(lake, ["a"], 1, "ignore")
    metadata = facts(several(lake, ["a", "b", "c"], 2, "ignore"))
    assert (metadata["rows_written"], metadata["num_rows"]) == (2, 3)
    assert sorted(lake.load(pl.DataFrame).rows()) == [("a", 1), ("b", 2), ("c", 2)]
    assert facts(several(lake, ["a", "b", "c"], 3, "ignore"))["ignored"] is True


def test_error_and_ignore_check_partition(lake):
    def part(key, mode):
        frame = pl.DataFrame({"r": [key], "n": [1]})
        return lake.store(frame, keys=key, partition_expr="r", mode=mode)

    part("us", "error")
    part("eu", "error")
    assert facts(part("eu", "ignore"))["ignored"] is True
    with pytest.raises(ConflictError, match="partition 'us'"):
        part("us", "error")
    assert lake.load(pl.DataFrame).height == 2


def test_create_or_replace_is_one_commit(lake):
    lake.store(pl.DataFrame({"r": ["us"], "n": [1]}), keys="us", partition_expr="r")
    lake.store(pl.DataFrame({"other": ["x"]}), mode="create_or_replace")
    assert lake.table().version() == 1
    assert lake.table().metadata().partition_columns == []
    assert lake.load(pl.DataFrame).columns == ["other"]
    lake.store(pl.DataFrame({"again": [1]}), schema_mode="overwrite")
    assert lake.load(pl.DataFrame, version=1).columns == ["other"]


def test_schema_change_needs_schema_mode(lake):
    lake.store(ONE)
    wider = pl.DataFrame({"n": [2], "more": ["x"]})
    with pytest.raises(AssetOutputValidationError, match="'more' is not in the table.*schema_mode"):
        lake.store(wider)
    lake.store(wider, mode="append", schema_mode="merge")
    assert lake.load(pl.DataFrame).sort("n").rows() == [(1, None), (2, "x")]
    lake.store(pl.DataFrame({"entirely": [1.5]}), schema_mode="overwrite")
    assert lake.load(pl.DataFrame).columns == ["entirely"]


def test_missing_column_needs_schema_mode(lake):
    lake.store(pl.DataFrame({"n": [1], "m": [1]}))
    with pytest.raises(AssetOutputValidationError, match="'m' of the table is missing"):
        lake.store(TWO, mode="append")
    lake.store(TWO, mode="append", schema_mode="merge")
    assert lake.load(pl.DataFrame).height == 2


def test_mode_of_asset_takes_precedence(tmp_path):
    lake = Lake(tmp_path, mode="append")
    lake.store(ONE)
    lake.store(TWO)
    assert numbers(lake) == [1, 2]
    lake.store(TWO, mode="overwrite")
    assert numbers(lake) == [2]


def test_write_reports_rows_and_totals(lake):
    first = facts(lake.store(pl.DataFrame({"n": [1, 2, 3]}), mode="append"))
    context = lake.store(ONE, mode="append")
    second = facts(context)
    assert (first["rows_written"], first["num_rows"], first["version"]) == (3, 3, 0)
    assert (second["rows_written"], second["num_rows"], second["version"]) == (1, 4, 1)
    assert second["size_bytes"] == sum(lake.table().get_add_actions().column("size_bytes").to_pylist())
    assert second["mode"] == "append"
    assert second["table_uri"] == lake.handler.address("asset", None)
    assert second["write_duration_s"] > 0
    assert context.output_metadata["rivers/schema"].raw_value().names == ["n"]
    assert isinstance(context.output_metadata["delta/num_rows"], MetadataValue.Int)
    assert context.content_version == f"{lake.table().metadata().id}@1"


def test_write_totals_count_foreign_commits(lake):
    lake.store(ONE, mode="append")
    Lake(lake.handler.table_uri).store(TWO, mode="append")
    assert facts(lake.store(ONE, mode="append"))["num_rows"] == 3
    lake.table().delete("n = 2")
    assert facts(lake.store(ONE, mode="append"))["num_rows"] == 3
    assert facts(lake.store(TWO))["num_rows"] == 1


def test_write_empty_frame(lake):
    lake.store(ONE.clear())
    assert lake.load(pl.DataFrame).schema == ONE.schema
    assert facts(lake.store(ONE.clear()))["num_rows"] == 0


def test_load_never_stored_raises_not_materialized(lake):
    lake.store(ONE, "orders")
    with pytest.raises(NotMaterializedError, match="'ordres'.*'orders'"):
        lake.load(name="ordres")
    assert lake.handler.exists(lake.asked(name="orders"))
    assert not lake.handler.exists(lake.asked(name="ordres"))


def test_load_damaged_table_is_not_absent(lake):
    lake.store(ONE)
    lake.store(TWO)
    log = lake.handler.address("asset", None) + "/_delta_log/00000000000000000000.json"
    with open(log, "w") as file:
        file.write("garbage")
    for asked in (lambda: lake.load(pl.DataFrame), lambda: lake.store(ONE)):
        with pytest.raises(Exception, match="asset 'asset'") as failure:
            asked()
        assert not isinstance(failure.value, FileNotFoundError)
        assert "unknown>" not in str(failure.value)


def test_write_passes_table_and_writer_properties(lake):
    lake.store(
        ONE,
        table_configuration={"delta.enableChangeDataFeed": True},
        writer_properties={"compression": "zstd", "compression_level": 3},
        commit_properties={"custom_metadata": {"team": "blue"}},
    )
    table = lake.table()
    assert table.metadata().configuration["delta.enableChangeDataFeed"] == "true"
    assert "zstd" in table.file_uris()[0]
    assert table.history(1)[0]["team"] == "blue"


def test_delete_value(lake):
    lake.store(ONE)
    lake.handler.delete(lake.asked())
    assert not lake.handler.exists(lake.asked())
    lake.handler.delete(lake.asked())
