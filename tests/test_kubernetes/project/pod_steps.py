"""Assets whose steps run in pods."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from pydantic import BaseModel, SecretStr

import rivers as rs


class Traces(rs.Resource):
    """A folder in which steps leave a line per call, and wait for files that a test creates."""

    folder: str

    def mark(self, name):
        with (Path(self.folder) / f"{name}.trace").open("a") as file:
            file.write(f"{os.getpid()}\n")

    def count(self, name):
        file = Path(self.folder) / f"{name}.trace"
        return len(file.read_text().splitlines()) if file.exists() else 0

    def wait_for(self, name):
        while not (Path(self.folder) / name).exists():
            time.sleep(0.02)

    def allow(self, name):
        (Path(self.folder) / name).touch()


class Credentials(rs.Resource):
    password: SecretStr


class Options(BaseModel):
    token: SecretStr


@rs.Asset(io_handler="store")
def numbers(traces):
    traces.mark("numbers")
    return [1, 2, 3]


@rs.Asset(io_handler="store")
def total(numbers, traces):
    traces.mark("total")
    return sum(numbers)


@rs.Asset(io_handler="store")
def held(traces):
    """Wait for the file `go`."""
    traces.mark("held")
    traces.wait_for("go")
    return "held"


@rs.Asset(io_handler="store")
def behind(held, traces):
    traces.mark("behind")
    return held + " and behind"


@rs.Asset(io_handler="store")
def broken():
    raise ValueError("station 17 reports no wind")


@rs.Asset(io_handler="store", retry=rs.RetryPolicy(2))
def flaky(traces):
    traces.mark("flaky")
    if traces.count("flaky") < 3:
        raise ConnectionError("station 4 does not answer")
    return traces.count("flaky")


@rs.Asset(io_handler="store")
def spoken(context: rs.AssetExecutionContext):
    print("written to the output")
    context.log.warning("wind of %d knots", 40)
    logging.getLogger("other.library").error("a\nmessage of two lines")


@rs.Asset(io_handler="store")
def secretive(context: rs.AssetExecutionContext[Options], credentials: Credentials):
    password = credentials.password.get_secret_value()
    print(f"password {password}")
    context.log.warning("token %s", context.config.token.get_secret_value())
    return len(password) + len(context.config.token.get_secret_value())


@rs.Asset(io_handler="store", partitions_def=rs.PartitionsDefinition.static_(["a/b", "c"]))
def parts(context: rs.AssetExecutionContext):
    return context.partition_key
