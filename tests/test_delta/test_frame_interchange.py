"""Types that one library supports and another does not: kept for the one, refused with the column for the other."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import polars as pl
import pyarrow as pa
import pytest

from rivers_core.exceptions import RiversError

FIXED = pa.timestamp("us", "+05:30")
MOMENTS = [0, None, 1_700_000_000_000_000]
TABLES = {
    "a column": pa.table({"n": [1, 2, 3], "at": pa.array(MOMENTS, FIXED)}),
    "in a list": pa.table({"n": [1], "at": pa.array([MOMENTS], pa.list_(FIXED))}),
    "in a struct": pa.table({"n": [1], "at": pa.array([{"x": 0}], pa.struct([("x", FIXED)]))}),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_pyarrow_reads_fixed_offset_zones(lake, table):
    lake.store(table)
    assert lake.load(pa.Table).equals(table)
    assert lake.load(pa.RecordBatchReader).read_all().equals(table)


@pytest.mark.parametrize("hint", [pl.DataFrame, pl.LazyFrame])
@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_polars_refuses_fixed_offset_zones(lake, capfd, table, hint):
    lake.store(table)
    with pytest.raises(
        RiversError, match=r"asset 'asset'.*column 'at' has type .*polars .*time zone '\+05:30'.*pyarrow"
    ):
        lake.load(hint)
    assert capfd.readouterr().err == ""
    assert lake.load(hint, columns=["n"]).lazy().collect().height == table.num_rows


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Etc/GMT+5"])
def test_polars_reads_known_zones(lake, zone):
    lake.store(pa.table({"at": pa.array(MOMENTS, pa.timestamp("us", zone))}))
    assert lake.load(pl.DataFrame).schema == {"at": pl.Datetime("us", zone)}


def test_partitions_of_string_views_need_only_pyarrow(tmp_path):
    code = textwrap.dedent("""
        import sys
        import pyarrow as pa
        from rivers_core import InputContext, OutputContext, PartitionContext, PartitionKey
        from rivers_core.exceptions import PartitionValidationError
        from rivers_delta import DeltaIOHandler

        handler, options = DeltaIOHandler(sys.argv[1]), {"delta/partition_expr": "k"}
        us, both = (PartitionContext([PartitionKey(keys)]) for keys in ("us", ["us", "eu"]))
        for partition, keys in ((us, ["us"]), (both, ["us", "eu"])):
            table = pa.table({"k": pa.array(keys, pa.string_view()), "n": range(len(keys))})
            for mode in ("overwrite", "append", "ignore"):
                context = OutputContext("asset", options | {"delta/mode": mode}, partition)
                handler.handle_output(context, table)
            loaded = handler.load_input(InputContext("asset", "next", options, partition, pa.Table))
            assert loaded.num_rows == 2 * len(keys), loaded
        try:
            handler.handle_output(OutputContext("asset", options, us), table)
        except PartitionValidationError as error:
            assert "one row belongs to another partition ('k' is 'eu')" in str(error), error
        else:
            raise AssertionError("a stranger was let in")
        assert "polars" not in sys.modules
    """)
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
