"""What each mode does to what is there, and what a write says about itself."""

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


def test_overwrite_replaces_and_keeps_the_versions_before(lake):
    lake.store(ONE)
    lake.store(TWO)
    assert numbers(lake) == [2]
    assert numbers(lake, version=0) == [1]


def test_append_adds(lake):
    lake.store(ONE, mode="append")
    lake.store(TWO, mode="append")
    assert numbers(lake) == [1, 2]


def test_error_refuses_what_is_there(lake):
    lake.store(ONE, mode="error")
    with pytest.raises(ConflictError, match="asset 'asset' already exists.*version 0"):
        lake.store(TWO, mode="error")
    assert numbers(lake) == [1]


def test_ignore_leaves_what_is_there_and_says_so(lake):
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


def test_error_refuses_several_partitions_if_one_is_there(lake):
    several(lake, ["a"], 1, "error")
    with pytest.raises(ConflictError, match="'a' of partitions 'a', 'b' of asset 'asset' already exists"):
        several(lake, ["a", "b"], 2, "error")
    assert lake.load(pl.DataFrame).rows() == [("a", 1)]


def test_ignore_stores_the_partitions_that_are_not_there(lake):
    several(lake, ["a"], 1, "ignore")
    told = facts(several(lake, ["a", "b", "c"], 2, "ignore"))
    assert (told["rows_written"], told["num_rows"]) == (2, 3)
    assert sorted(lake.load(pl.DataFrame).rows()) == [("a", 1), ("b", 2), ("c", 2)]
    assert facts(several(lake, ["a", "b", "c"], 3, "ignore"))["ignored"] is True


def test_error_and_ignore_look_at_the_partition_not_at_the_table(lake):
    def part(key, mode):
        frame = pl.DataFrame({"r": [key], "n": [1]})
        return lake.store(frame, keys=key, partition_expr="r", mode=mode)

    part("us", "error")
    part("eu", "error")
    assert facts(part("eu", "ignore"))["ignored"] is True
    with pytest.raises(ConflictError, match="partition 'us'"):
        part("us", "error")
    assert lake.load(pl.DataFrame).height == 2


def test_create_or_replace_is_one_commit_that_may_change_everything(lake):
    lake.store(pl.DataFrame({"r": ["us"], "n": [1]}), keys="us", partition_expr="r")
    lake.store(pl.DataFrame({"other": ["x"]}), mode="create_or_replace")
    assert lake.table().version() == 1
    assert lake.table().metadata().partition_columns == []
    assert lake.load(pl.DataFrame).columns == ["other"]
    lake.store(pl.DataFrame({"again": [1]}), schema_mode="overwrite")
    assert lake.load(pl.DataFrame, version=1).columns == ["other"]


def test_a_new_schema_needs_to_be_said(lake):
    lake.store(ONE)
    wider = pl.DataFrame({"n": [2], "more": ["x"]})
    with pytest.raises(AssetOutputValidationError, match="'more' is not in the table.*schema_mode"):
        lake.store(wider)
    lake.store(wider, mode="append", schema_mode="merge")
    assert lake.load(pl.DataFrame).sort("n").rows() == [(1, None), (2, "x")]
    lake.store(pl.DataFrame({"entirely": [1.5]}), schema_mode="overwrite")
    assert lake.load(pl.DataFrame).columns == ["entirely"]


def test_a_missing_column_is_an_error_unless_the_schema_may_differ(lake):
    lake.store(pl.DataFrame({"n": [1], "m": [1]}))
    with pytest.raises(AssetOutputValidationError, match="'m' of the table is missing"):
        lake.store(TWO, mode="append")
    lake.store(TWO, mode="append", schema_mode="merge")
    assert lake.load(pl.DataFrame).height == 2


def test_modes_of_the_handler_and_of_the_asset(tmp_path):
    lake = Lake(tmp_path, mode="append")
    lake.store(ONE)
    lake.store(TWO)
    assert numbers(lake) == [1, 2]
    lake.store(TWO, mode="overwrite")
    assert numbers(lake) == [2]


def test_metadata_tells_what_was_written_and_what_the_table_holds(lake):
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


def test_totals_are_right_whoever_else_wrote_in_between(lake):
    lake.store(ONE, mode="append")
    Lake(lake.handler.table_uri).store(TWO, mode="append")
    assert facts(lake.store(ONE, mode="append"))["num_rows"] == 3
    lake.table().delete("n = 2")
    assert facts(lake.store(ONE, mode="append"))["num_rows"] == 3
    assert facts(lake.store(TWO))["num_rows"] == 1


def test_an_empty_frame_is_a_value(lake):
    lake.store(ONE.clear())
    assert lake.load(pl.DataFrame).schema == ONE.schema
    assert facts(lake.store(ONE.clear()))["num_rows"] == 0


def test_what_was_never_stored_is_the_one_error_that_means_a_first_run(lake):
    lake.store(ONE, "orders")
    with pytest.raises(NotMaterializedError, match="'ordres'.*'orders'"):
        lake.load(name="ordres")
    assert lake.handler.exists(lake.asked(name="orders"))
    assert not lake.handler.exists(lake.asked(name="ordres"))


def test_a_damaged_table_does_not_look_like_a_first_run(lake):
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


def test_table_properties_and_writer_properties_arrive(lake):
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


def test_a_value_may_be_deleted(lake):
    lake.store(ONE)
    lake.handler.delete(lake.asked())
    assert not lake.handler.exists(lake.asked())
    lake.handler.delete(lake.asked())
