"""The Delta variant: flights in one table with a partition per month, a merge, and a read of an older version.

    python lake.py

All tables are in `./lake`, where other Delta readers can open them.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

import rivers as rs
from flights.raw import raw_flights
from flights.tables import MONTHS

SEEN_SO_FAR = rs.PartitionMapping.subset()


@rs.Asset(io_handler="lake", partitions_def=MONTHS, metadata={"delta/partition_expr": "date"})
def flights_by_month(context: rs.AssetExecutionContext, raw_flights: pl.DataFrame) -> pl.DataFrame:
    """Select the flights of a month. The partition is a range of dates; the handler rejects rows of other months."""
    window = context.partition_time_window
    assert window is not None
    start, end = (day.date() for day in window)
    return raw_flights.select(
        date=pl.date("year", "month", "day"),
        carrier=pl.col("carrier").cast(pl.Categorical),
        tailnum=pl.col("tailnum"),
        distance=pl.col("distance").cast(pl.UInt16),
        arr_delay=pl.col("arr_delay"),
    ).filter(pl.col("date").is_between(start, end, closed="left"))


@rs.Asset(
    io_handler="lake",
    deps=[rs.AssetDef.input("flights_by_month", partition_mapping=SEEN_SO_FAR)],
    metadata={"delta/mode": "merge", "delta/merge_predicate": "s.tailnum = t.tailnum"},
)
def aircraft(flights_by_month: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Merge the aircraft seen so far: update known ones, insert new ones, never duplicate one."""
    seen = pl.concat([month.drop("carrier") for month in flights_by_month.values()])
    return (
        seen.drop_nulls("tailnum").group_by("tailnum").agg(flights=pl.len(), last_seen=pl.col("date").max())
    )


@rs.Asset(deps=[rs.AssetDef.input("aircraft", metadata={"delta/version": 0, "delta/columns": ["tailnum"]})])
def first_known(aircraft: pl.LazyFrame) -> int:
    """Count the aircraft after the first merge: the input loads one column of version 0 of the table."""
    return int(aircraft.select(pl.len()).collect().item())


def repository(folder: Path) -> rs.CodeRepository:
    """Return the variant, with its tables in `folder/lake`."""
    assets: list[rs.Asset] = [raw_flights, flights_by_month, aircraft, first_known]
    return rs.CodeRepository(
        assets, resources={"lake": rs.DeltaIOHandler(table_uri=str(folder / "lake"))}, config=False
    )


def main() -> None:
    """Run two months in sequence, then read the older version."""
    with repository(Path.cwd()) as repo:
        for month in ("2013-01", "2013-02"):
            repo.materialize(["flights_by_month"], partition_key=month)
            repo.materialize(["aircraft"])
            event = repo.storage.get_latest_materialization("aircraft")
            assert event is not None
            facts = event.typed_metadata
            inserted = facts["delta/rows_inserted"].raw_value()
            print(
                f"{month}: {inserted:,} aircraft are new, {facts['delta/num_rows'].raw_value():,} are known"
            )
        repo.materialize(["first_known"])
        print(f"after January {repo.load_node('first_known'):,} were known")


if __name__ == "__main__":
    main()
