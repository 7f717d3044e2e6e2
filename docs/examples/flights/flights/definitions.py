"""The pipeline: all assets, and where the handler named `tables` keeps what they return."""

from __future__ import annotations

from pathlib import Path

import rivers as rs
from flights import answers, raw, tables
from flights.page import Reports

ASSETS: list[rs.Asset] = [
    raw.raw_flights,
    raw.raw_weather,
    raw.raw_planes,
    raw.raw_airports,
    raw.raw_airlines,
    tables.flights,
    tables.weather,
    tables.planes,
    tables.departures,
    tables.month_delays,
    answers.by_hour,
    answers.by_airline,
    answers.by_weather,
    answers.by_month,
    answers.advice,
    answers.report,
]


def repository(folder: Path) -> rs.CodeRepository:
    """The pipeline, keeping everything it writes under one folder."""
    return rs.CodeRepository(
        ASSETS,
        resources={
            "tables": rs.PickleIOHandler((folder / "data").as_uri()),
            "reports": Reports(folder=folder / "reports"),
        },
    )


repo = repository(Path(__file__).parents[1])
