"""The pipeline: all assets. The file rivers.toml configures the handlers `tables` and `notes` that store them."""

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
    """Return the pipeline with the configuration of a folder, where it also writes its reports."""
    reports = Reports(folder=folder / "reports")
    return rs.CodeRepository(ASSETS, resources={"reports": reports}, config=folder / "rivers.toml")


repo = repository(Path(__file__).parents[1])
