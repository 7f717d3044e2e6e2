"""Writers that are killed at random moments: values are whole, no acknowledged one is lost, nothing stays behind."""

from __future__ import annotations

import os
import random
import shutil
import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

import rivers as rs
from rivers_objects import staging
from rivers_testkit.processes import ProcessDiedError, ProcessServer

if TYPE_CHECKING:
    from pathlib import Path

# large enough that a process can be killed in the middle of a file: 50 MB and 20 MB, a twentieth in `make test`
ROWS, ROW_SIZE = (20_000 if "TORTURE" in os.environ else 1_000), 2_500
PICKLE_SIZE = 1_000 * ROWS
KILLS_PER_FOLDER = 5
"""A table keeps all its versions until it is vacuumed."""


@cache
def noise(size: int) -> bytes:
    """Return bytes that no compression shortens; the same in each process."""
    return random.Random(0).randbytes(size)


@cache
def columns() -> dict[str, Any]:
    """Return the columns of a table that are equal in each version."""
    data = noise(ROWS * ROW_SIZE)
    return {"id": range(ROWS), "data": [data[at : at + ROW_SIZE] for at in range(0, len(data), ROW_SIZE)]}


@dataclass(frozen=True)
class Writer:
    """How a process writes one value after the other, and what is stored after each.

    Args:
        mode: Mode of Delta; None for pickle.
    """

    mode: str | None = None

    def handler(self, folder: Path) -> rs.BaseIOHandler:
        """Return the handler on a folder."""
        if self.mode is None:
            return rs.PickleIOHandler(folder / "values")
        options: dict[str, Any] = {"mode": self.mode}
        if self.mode == "merge":
            options["merge_config"] = {"merge_type": "upsert", "predicate": "s.id = t.id"}
        return rs.DeltaIOHandler(table_uri=folder / "values", **options)

    def asset(self, number: int) -> str:
        """Return the asset of a write: these modes write each table once."""
        return f"asset_{number}" if self.mode in ("error", "ignore") else "asset"

    def value(self, number: int) -> Any:
        """Return the value of a write."""
        if self.mode is None:
            return (number, noise(PICKLE_SIZE), number)
        return pl.DataFrame({**columns(), "n": [number] * ROWS})

    def write(self, folder: Path, number: int) -> None:
        """Store the value of a write."""
        value = self.value(number)
        context = rs.OutputContext(self.asset(number), type_hint=type(value), run_id=f"run-{number}")
        self.handler(folder).handle_output(context, value)

    def check(self, folder: Path, acknowledged: int) -> bool:
        """Require that what is stored is whole; return whether it has the write after the acknowledged ones."""
        last = acknowledged + 1
        if self.mode in ("error", "ignore"):
            assert self.stored(folder, acknowledged) == [acknowledged]
            return self.stored(folder, last) == [last]
        numbers = self.stored(folder, last)
        if self.mode == "append":
            assert numbers in ([*range(1, last)], [*range(1, last + 1)])
        else:
            assert numbers in ([acknowledged], [last])
        return numbers[-1] == last

    def stored(self, folder: Path, number: int) -> list[int]:
        """Return the numbers of the writes whose values are stored and whole; none if nothing is stored."""
        context = rs.InputContext(self.asset(number), "next", type_hint=pl.DataFrame if self.mode else None)
        try:
            value = self.handler(folder).load_input(context)
        except rs.exceptions.NotMaterializedError:
            return []
        if self.mode is None:
            assert value == self.value(value[0])
            return [value[0]]
        expected = pl.DataFrame(columns()).with_columns(pl.col("data").cast(pl.Binary))
        parts = {part["n"][0]: part.drop("n").sort("id") for part in value.partition_by("n")}
        assert all(part.equals(expected) for part in parts.values())
        return sorted(parts)


WRITERS = {
    "pickle": Writer(),
    **{f"delta-{mode}": Writer(mode) for mode in rs.DeltaIOHandler.model_fields["mode"].annotation.__args__},
}


CHOSEN = list(WRITERS) if "TORTURE" in os.environ else ["pickle", "delta-overwrite"]


def write(writer: Writer, folder: Path, number: int) -> None:
    writer.write(folder, number)


def write_on(writer: Writer, folder: Path, first: int) -> None:
    """Write one value after the other, for ever; the file `acknowledged` gets one byte for each."""
    number = first
    while True:
        writer.write(folder, number)
        with open(folder / "acknowledged", "ab", buffering=0) as file:
            file.write(b".")
        number += 1


def acknowledged(folder: Path) -> int:
    return os.stat(folder / "acknowledged").st_size


@pytest.fixture(scope="module")
def server():
    with ProcessServer(timeout_s=600) as server:
        yield server


@pytest.mark.parametrize("name", CHOSEN)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks writers")
def test_killed_writer_leaves_whole_values(tmp_path, server, kills, outcomes, name):
    writer, moments = WRITERS[name], random.Random(name)
    for number in range(kills(1_000 if name == "pickle" else 200)):
        folder = tmp_path / str(number // KILLS_PER_FOLDER)
        if number % KILLS_PER_FOLDER == 0:
            shutil.rmtree(tmp_path / str(number // KILLS_PER_FOLDER - 1), ignore_errors=True)
            folder.mkdir()
            started = time.monotonic()
            server.call(write, writer, folder, 1)
            duration = time.monotonic() - started
            (folder / "acknowledged").write_bytes(b".")
        before = acknowledged(folder)
        call = server.start(write_on, writer, folder, before + 1)
        while acknowledged(folder) == before:
            time.sleep(0.002)
        time.sleep(moments.uniform(0, duration))
        call.kill()
        with pytest.raises(ProcessDiedError):
            call.result()
        count = acknowledged(folder)
        is_stored = writer.check(folder, count)
        outcomes[f"killed, {'new' if is_stored else 'old'} value"] += 1
        if is_stored:  # the process was killed before it acknowledged the write
            with open(folder / "acknowledged", "ab") as file:
                file.write(b".")
        check_leftovers(writer, folder, count + is_stored)


def check_leftovers(writer: Writer, folder: Path, number: int) -> None:
    """Staging files of a killed process are removed by the first write of another."""
    staging._swept.clear()
    value = 1 if writer.mode is None else pl.DataFrame({"id": [1]})
    writer.handler(folder).handle_output(rs.OutputContext(f"another_{number}"), value)
    assert list((folder / "values").rglob("*#*")) == []
