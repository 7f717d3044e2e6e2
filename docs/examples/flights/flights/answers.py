"""Layer 3: answers. The handlers `tables` and `notes` store small tables and a sentence; the report writes a file."""

from __future__ import annotations

import polars as pl

import rivers as rs
from flights.chart import bars
from flights.facts import describe
from flights.page import Reports, page

MEASURES = {
    "flights": pl.len(),
    "arrived": pl.col("arr_delay").count(),
    "cancelled": pl.col("cancelled").mean(),
    "late": pl.col("late").mean(),
    "arr_delay": pl.col("arr_delay").mean(),
}


def punctuality(departures: pl.DataFrame, *by: str) -> pl.DataFrame:
    """Return the punctuality per group, sorted, so that equal data has equal bytes and the same data version."""
    return departures.group_by(by).agg(**MEASURES).sort(by)


@rs.Asset(group="answers", io_handler="tables")
def by_hour(context: rs.AssetExecutionContext, departures: pl.DataFrame) -> pl.DataFrame:
    """Compare the hours of departure."""
    return describe(context, punctuality(departures, "hour").filter(pl.col("flights") > 1))


@rs.Asset(group="answers", io_handler="tables")
def by_airline(context: rs.AssetExecutionContext, departures: pl.DataFrame) -> pl.DataFrame:
    """Compare the airlines."""
    return describe(context, punctuality(departures, "carrier", "airline"))


@rs.Asset(group="answers", io_handler="tables")
def by_weather(context: rs.AssetExecutionContext, departures: pl.DataFrame) -> pl.DataFrame:
    """Compare the weather at departure."""
    return describe(context, punctuality(departures.drop_nulls("sky"), "sky"))


@rs.Asset(group="answers", io_handler="tables")
def by_month(
    context: rs.AssetExecutionContext, month_delays: dict[rs.PartitionKey, pl.DataFrame]
) -> pl.DataFrame:
    """Compare the months: the twelve partitions arrive as a dict, in calendar order."""
    months = [
        days.select(
            month=pl.lit(str(key)),
            flights=pl.col("flights").sum(),
            cancelled=pl.col("cancelled").sum() / pl.col("flights").sum(),
            arr_delay=pl.col("delay").sum() / pl.col("arrived").sum(),
            worst_day=pl.col("date").sort_by(pl.col("delay") / pl.col("arrived")).last(),
        )
        for key, days in month_delays.items()
    ]
    return describe(context, pl.concat(months))


@rs.Asset(group="answers", io_handler="notes")
def advice(by_hour: pl.DataFrame, by_airline: pl.DataFrame, by_month: pl.DataFrame) -> str:
    """Summarize the tables in a few sentences of advice."""
    early, evening = (
        by_hour.filter(pl.col("hour").is_between(*hours))
        .select((pl.col("late") * pl.col("arrived")).sum() / pl.col("arrived").sum())
        .item()
        for hours in [(5, 8), (18, 21)]
    )
    large = by_airline.filter(pl.col("flights") > 10_000).sort("late")
    best, worst = large.row(0, named=True), large.row(-1, named=True)
    months = by_month.sort("arr_delay")["month"].str.to_date("%Y-%m").dt.strftime("%B")
    return (
        f"Leave before nine: 1 flight in {1 / early:.0f} lands more than half an hour late, "
        f"in the evening it is 1 in {1 / evening:.0f}. "
        f"Of the large airlines take {best['airline']} ({best['late']:.0%} late), "
        f"rather than {worst['airline']} ({worst['late']:.0%}). "
        f"The best month is {months[0]}, the worst {months[-1]}."
    )


@rs.Asset(group="answers")
def report(
    reports: Reports, advice: str, by_hour: pl.DataFrame, by_airline: pl.DataFrame, by_weather: pl.DataFrame
) -> rs.Materialization:
    """Write a page for the browser. The function stores it, so it returns a Materialization and no handler runs."""
    chart = bars(by_hour["late"].to_list())
    path = reports.write("punctuality.html", page(advice, chart, by_airline, by_weather))
    return rs.Materialization(
        metadata={
            "path": rs.MetadataValue.path(path),
            "size_bytes": path.stat().st_size,
            "chart": rs.MetadataValue.image(chart),
        }
    )
