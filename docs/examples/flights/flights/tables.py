"""Layer 2: cleaned and joined tables.

Tables that later runs need name the handler `tables` (pickle on disk; see rivers.toml). Tables that are quick to
compute do not name a handler: they stay in memory, and the engine passes them on without a copy.
"""

from __future__ import annotations

import polars as pl

import rivers as rs
from flights.facts import describe

MONTHS = rs.PartitionsDefinition.time_window(
    "2013-01-01", cron_schedule="0 0 1 * *", end="2014-01-01", fmt="%Y-%m"
)


@rs.Asset(group="tables", io_handler="tables")
def flights(context: rs.AssetExecutionContext, raw_flights: pl.DataFrame) -> pl.DataFrame:
    """Select the columns of every scheduled departure, and mark cancelled and late flights."""
    return describe(
        context,
        raw_flights.select(
            date=pl.date("year", "month", "day"),
            hour=pl.col("hour"),
            time_hour=pl.col("time_hour"),
            carrier=pl.col("carrier"),
            tailnum=pl.col("tailnum"),
            origin=pl.col("origin"),
            dest=pl.col("dest"),
            distance=pl.col("distance"),
            cancelled=pl.col("dep_time").is_null(),
            arr_delay=pl.col("arr_delay"),
            late=pl.col("arr_delay") > 30,
        ),
    )


@rs.Asset(group="tables", io_handler="tables")
def weather(context: rs.AssetExecutionContext, raw_weather: pl.DataFrame) -> pl.DataFrame:
    """Classify the weather at each airport, hour by hour."""
    sky = (
        pl.when(pl.col("visib") < 3)
        .then(pl.lit("fog"))
        .when(pl.col("precip") > 0)
        .then(pl.lit("rain or snow"))
        .when(pl.col("wind_speed") > 20)
        .then(pl.lit("wind"))
        .otherwise(pl.lit("fair"))
    )
    return describe(context, raw_weather.select("origin", "time_hour", "temp", "wind_speed", sky=sky))


@rs.Asset(group="tables")
def planes(context: rs.AssetExecutionContext, raw_planes: pl.DataFrame) -> pl.DataFrame:
    """Compute the age of each aircraft, and select its number of seats."""
    return describe(context, raw_planes.select("tailnum", "seats", age=2013 - pl.col("year")))


@rs.Asset(group="tables")
def departures(
    context: rs.AssetExecutionContext,
    flights: pl.DataFrame,
    weather: pl.DataFrame,
    planes: pl.DataFrame,
    raw_airlines: pl.DataFrame,
    raw_airports: pl.DataFrame,
) -> pl.DataFrame:
    """Join flights with weather, aircraft, airlines and airports in one wide table."""
    airlines = raw_airlines.select("carrier", airline="name")
    airports = raw_airports.select(dest="faa", destination="name")
    return describe(
        context,
        flights.join(weather, on=["origin", "time_hour"], how="left")
        .join(planes, on="tailnum", how="left")
        .join(airlines, on="carrier", how="left")
        .join(airports, on="dest", how="left"),
    )


@rs.Asset(
    group="tables",
    io_handler="tables",
    partitions_def=MONTHS,
    partition_batches=True,  # one query answers for any number of months
    metadata={"delta/partition_expr": "month"},  # used in environments that store tables in Delta Lake
)
def month_delays(context: rs.AssetExecutionContext, flights: pl.DataFrame) -> rs.PartitionedOutput:
    """Sum up the delays per day, in one partition per month: any month can be recomputed alone."""
    days = (
        flights.group_by("date", month=pl.col("date").dt.strftime("%Y-%m"))
        .agg(
            flights=pl.len(),
            cancelled=pl.col("cancelled").sum(),
            arrived=pl.col("arr_delay").count(),
            delay=pl.col("arr_delay").sum(),
        )
        .sort("date")
    )
    keys = context.partition.keys if context.partition else []
    return rs.PartitionedOutput({key: days.filter(pl.col("month") == str(key)) for key in keys})
