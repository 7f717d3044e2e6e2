"""Faults that users meet, with the message that each gets; `make gallery` writes them to docs/errors-gallery.md."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from inspect import cleandoc
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

import pyarrow as pa
from pydantic import BaseModel, ValidationError

import rivers as rs
from rivers_cli.main import main
from rivers_core import InputContext, OutputContext, PartitionContext, PartitionKey
from rivers_core.config import load_config
from rivers_core.exceptions import RiversError
from rivers_delta import DeltaIOHandler
from rivers_json import JsonIOHandler
from rivers_overlay import OverlayIOHandler
from rivers_parquet import ParquetIOHandler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAGE: Final = Path(__file__).parents[2] / "docs" / "errors-gallery.md"
HEAD: Final = """# Error gallery

Faults, and what you see for each. A test creates every fault and compares the message with this page; `make gallery`
writes the page. `/project` stands for the folder of the project, `RUN` for the id of a run, `VERSION` for a version of
rivers. [Errors](errors.md) lists the classes.
"""
DAILY: Final = rs.PartitionsDefinition.daily("2024-01-01", "2024-01-04")
KEY: Final = "a key of enough characters"


@dataclass(frozen=True)
class Fault:
    """A fault and how to create it."""

    section: str
    title: str
    create: Callable[[], object]

    def message(self) -> str:
        """Create the fault in an empty folder, which becomes the current one, and return what the user sees."""
        before, folder = os.getcwd(), os.path.realpath(tempfile.mkdtemp())
        path = list(sys.path)
        os.chdir(folder)
        logging.disable()
        try:
            return _without_chances(_seen(self.create), folder)
        finally:
            logging.disable(logging.NOTSET)
            os.chdir(before)
            sys.path[:] = path
            sys.modules.pop("definitions", None)
            for variable in ("RIVERS_CONFIG", "RIVERS_ENV"):  # set by the command
                os.environ.pop(variable, None)
            shutil.rmtree(folder)


FAULTS: Final[list[Fault]] = []


def fault(section: str) -> Callable[[Callable[[], object]], Callable[[], object]]:
    """Add a function whose docstring is the title of a fault; it raises the error, or returns the output."""

    def add(create: Callable[[], object]) -> Callable[[], object]:
        FAULTS.append(Fault(section, cleandoc(create.__doc__ or ""), create))
        return create

    return add


def _seen(create: Callable[[], object]) -> str:
    try:
        output = create()
    except (RiversError, ValidationError, TypeError) as error:
        lines = [f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())]
        cause = error.__cause__
        if cause is not None and str(cause) not in str(error):
            lines.append(f"caused by {type(cause).__name__}: {cause}")
        return "\n".join(lines)
    if not isinstance(output, str):
        raise AssertionError("nothing failed")
    return output


def _without_chances(text: str, folder: str) -> str:
    """Replace what differs from run to run."""
    text = text.replace(folder, "/project")
    text = re.sub(r"\n    For further information visit .*", "", text)  # of pydantic
    text = re.sub(r"\b(rivers[\w-]*) \d+\.\d+\.\d+[\w.+]*(?<!\.)", r"\1 VERSION", text)
    text = re.sub(r" at 0x[0-9a-f]+", "", text)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "RUN", text)
    text = re.sub(r"after [\d.]+ m?s", "after 1.2 ms", text)
    return re.sub(r"\b\d{14,}\b", "NUMBER", text)


def page() -> str:
    """Return the text of the page."""
    return "\n".join([HEAD, *_sections()])


def _sections() -> Iterator[str]:
    section = ""
    for item in FAULTS:
        if item.section != section:
            section = item.section
            yield f"## {section}\n"
        yield f"{item.title}\n\n```text\n{item.message()}\n```\n"


def repository(*assets: object, **options: object) -> rs.CodeRepository:
    return rs.CodeRepository(list(assets), config=False, **options)


def command(*arguments: str) -> str:
    """Return what a failing command prints to stderr, with its exit code."""
    err = io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
        try:
            main(list(arguments))
        except SystemExit as end:
            code = end.code
    assert code, "the command succeeded"
    return f"$ rivers {' '.join(arguments)}\n{err.getvalue().strip()}\n(exit code {code})"


def project(toml: str = "", definitions: str = "") -> None:
    Path("rivers.toml").write_text(f'repository = "definitions:repo"\n{toml}')
    Path("definitions.py").write_text(f"import rivers as rs\n{definitions or PIPELINE}")


PIPELINE: Final = """
@rs.Asset
def orders() -> list[int]:
    return [30, 12]

@rs.Asset
def total(orders: list[int]) -> int:
    return sum(orders)

repo = rs.CodeRepository([orders, total])
"""


@rs.Asset
def orders() -> list[int]:
    return [30, 12]


@rs.Asset
def total(orders: list[int]) -> int:
    return sum(orders)


@rs.Asset(partitions_def=DAILY)
def visits() -> int:
    return 1


# --- definitions


@fault("Definitions")
def unknown_argument() -> None:
    """An argument of an asset is misspelled."""
    rs.Asset(nam="orders")  # type: ignore[call-overload]


@fault("Definitions")
def name_that_is_not_text() -> None:
    """The name of an asset is not text."""
    rs.Asset(name=3)(lambda: 1)  # type: ignore[call-overload]


@fault("Definitions")
def handler_that_is_not_one() -> None:
    """A handler has the right methods, but does not subclass `BaseIOHandler`."""

    class Files:
        def handle_output(self, context: object, obj: object) -> None: ...
        def load_input(self, context: object) -> None: ...

    rs.Asset(name="orders", io_handler=Files())(lambda: 1)  # type: ignore[call-overload]


@fault("Definitions")
def external_asset_without_handler() -> None:
    """An external asset has no handler."""
    rs.Asset.external(name="prices")  # type: ignore[call-overload]


@fault("Definitions")
def tags_that_are_not_a_list() -> None:
    """The tags of an asset are a number."""
    rs.Asset(name="orders", tags=7)(lambda: 1)  # type: ignore[call-overload]


@fault("Definitions")
def metadata_of_unsupported_type() -> None:
    """Metadata of an asset has a value that JSON does not have."""
    rs.Asset(name="orders", metadata={"owner": object()})(lambda: 1)


@fault("Definitions")
def negative_retries() -> None:
    """A retry policy has a negative number of retries."""
    rs.RetryPolicy(-1)


@fault("Definitions")
def multi_asset_without_outputs() -> None:
    """A multi-asset declares no outputs."""
    rs.Asset.from_multi(lambda: None, output_defs=[], name="split")


@fault("Definitions")
def output_metadata_of_unsupported_type() -> None:
    """A result has metadata that cannot be stored."""
    rs.Output(1, metadata={"model": object()})


@fault("Definitions")
def negative_timeout() -> None:
    """The timeout of an asset is negative."""
    rs.Asset(name="orders", timeout=-1)(lambda: 1)


# --- graph


@fault("Graph")
def misspelled_input() -> None:
    """A parameter is misspelled."""

    @rs.Asset
    def report(ordrs: list[int]) -> int:
        return len(ordrs)

    repository(orders, report).validate()


@fault("Graph")
def several_findings() -> None:
    """Several things are wrong at once."""

    @rs.Asset(io_handler="pikle")
    def report(totl: int) -> int:
        return totl

    @rs.Asset(retry="often")
    def mail(report: int) -> None: ...

    repository(orders, total, report, mail).validate()


@fault("Graph")
def two_assets_of_one_name() -> None:
    """Two assets have the same name."""
    repository(orders, rs.Asset(name="orders")(lambda: 1)).validate()


@fault("Graph")
def cycle() -> None:
    """Assets depend on each other in a circle."""

    @rs.Asset
    def chicken(egg: int) -> int:
        return egg

    @rs.Asset
    def egg(chicken: int) -> int:
        return chicken

    repository(chicken, egg).validate()


@fault("Graph")
def job_without_upstream() -> None:
    """A job lacks an asset that another one of its assets needs."""
    repository(orders, total, jobs=[rs.Job("nightly", [total])]).validate()


@fault("Graph")
def unknown_job() -> None:
    """A job does not exist."""
    repository(orders, jobs=[rs.Job("nightly", [orders])]).get_job("nighty")


@fault("Graph")
def unknown_asset_in_selection() -> None:
    """A selection names an asset that does not exist."""
    repository(orders, total).materialize(["totals"])


@fault("Graph")
def unknown_group_in_selection() -> None:
    """A selection names a group that does not exist."""
    repository(rs.Asset(name="orders", group="sales")(lambda: 1)).materialize("group:sale")


@fault("Graph")
def unknown_handler() -> None:
    """A handler has no such name."""
    repository(rs.Asset(name="orders", io_handler="delat")(lambda: 1)).validate()


@fault("Graph")
def unknown_option() -> None:
    """An option of a handler is misspelled."""
    asset = rs.Asset(name="orders", io_handler=DeltaIOHandler("./lake"), metadata={"delta/mod": "append"})
    repository(asset(lambda: 1)).validate()


@fault("Graph")
def wrong_option() -> None:
    """An option of a handler has a value that it does not support."""
    asset = rs.Asset(name="orders", io_handler=DeltaIOHandler("./lake"), metadata={"delta/mode": "apend"})
    repository(asset(lambda: 1)).validate()


@fault("Graph")
def unsupported_type() -> None:
    """An asset returns a type that its handler cannot store."""

    @rs.Asset(io_handler=ParquetIOHandler(store="file:./data"))
    def orders() -> int:
        return 1

    repository(orders).validate()


@fault("Graph")
def unknown_partitions_definition() -> None:
    """A partitions definition is referred to by a wrong name."""
    asset = rs.Asset(name="orders", partitions_def="dayly")(lambda: 1)
    repository(asset, partition_defs={"daily": DAILY}).validate()


@fault("Graph")
def folder_across_machines() -> None:
    """Steps run on other machines, which do not see the folder of a handler."""
    local = rs.Asset(name="orders", io_handler=rs.PickleIOHandler(store="file:./data"))(lambda: 1)
    repository(local, default_executor=rs.Executor.dask("tcp://scheduler:8786")).validate()


@fault("Graph")
def asset_that_is_not_one() -> None:
    """A repository gets a plain function."""
    repository(command).validate()


# --- configuration


def _configuration(toml: str) -> None:
    Path("rivers.toml").write_text(toml)
    load_config("rivers.toml").check()


@fault("Configuration")
def invalid_toml() -> None:
    """`rivers.toml` is not TOML."""
    _configuration('default_io_handler = "lake\n')


@fault("Configuration")
def unknown_section() -> None:
    """A table in `rivers.toml` is misspelled."""
    _configuration('[io_handler.lake]\nuse = "delta"\n')


@fault("Configuration")
def handler_without_use() -> None:
    """A handler in `rivers.toml` does not say what it is."""
    _configuration('[io_handlers.lake]\ntable_uri = "./lake"\n')


@fault("Configuration")
def unknown_use() -> None:
    """A handler in `rivers.toml` has an unknown kind."""
    _configuration('[io_handlers.lake]\nuse = "delat"\n')


@fault("Configuration")
def unknown_field() -> None:
    """A field of a handler is misspelled."""
    _configuration('[io_handlers.lake]\nuse = "delta"\ntable_url = "./lake"\n')


@fault("Configuration")
def wrong_field_type() -> None:
    """A field of a handler has the wrong type."""
    _configuration('[io_handlers.files]\nuse = "pickle"\nstore = "file:./data"\nkeep_versions = "many"\n')


@fault("Configuration")
def unset_variable() -> None:
    """A variable is not set."""
    _configuration('[io_handlers.lake]\nuse = "delta"\ntable_uri = "s3://${BUCKET_OF_TEAM}/lake"\n')


@fault("Configuration")
def unknown_default() -> None:
    """The default handler does not exist."""
    _configuration('default_io_handler = "lak"\n[io_handlers.lake]\nuse = "delta"\ntable_uri = "./lake"\n')


@fault("Configuration")
def unknown_environment() -> None:
    """An environment does not exist."""
    project('[environments.prod.io_handlers.lake]\nuse = "delta"\ntable_uri = "./lake"\n')
    load_config("rivers.toml", environment="pord")


@fault("Configuration")
def missing_file() -> None:
    """The configuration file does not exist."""
    load_config("config/rivers.toml")


@fault("Configuration")
def overlay_of_unknown_handler() -> None:
    """A handler refers to another one that does not exist."""
    _configuration('[io_handlers.layered]\nuse = "overlay"\ntop = "scratch"\nbase = "memory"\n')


@fault("Configuration")
def missing_setting() -> None:
    """A required setting is missing."""
    DeltaIOHandler()  # type: ignore[call-arg]


@fault("Configuration")
def wrong_store_url() -> None:
    """The address of a store has a scheme that does not exist."""
    rs.PickleIOHandler(store="s4://bucket/values")


@fault("Configuration")
def short_signing_key() -> None:
    """A signing key is short."""
    rs.PickleIOHandler(store="file:./data", signing_key="secret")


@fault("Configuration")
def misspelled_store_option() -> None:
    """An option of a store is misspelled."""
    handler = rs.PickleIOHandler(store="s3://bucket/x", storage_options={"aws_acess_key_id": "me"})
    handler.load_input(InputContext("orders", "total"))


@fault("Configuration")
def denied_plugin() -> None:
    """A handler comes from a distribution that is not allowed."""
    _configuration(
        '[plugins]\ndeny = ["rivers-delta"]\n[io_handlers.lake]\nuse = "delta"\ntable_uri = "./lake"\n'
    )


@fault("Configuration")
def unknown_executor() -> None:
    """An executor does not exist."""
    Path("rivers.toml").write_text('default_executor = "paralel"\n')
    rs.CodeRepository([orders], config="rivers.toml").validate()


# --- partitions


@fault("Partitions")
def key_with_reserved_character() -> None:
    """A partition key contains a character that separates keys."""
    rs.PartitionsDefinition.static_(["east|west"])


@fault("Partitions")
def empty_definition() -> None:
    """A partitions definition has no keys."""
    rs.PartitionsDefinition.static_([])


@fault("Partitions")
def invalid_cron() -> None:
    """A cron schedule is invalid."""
    rs.PartitionsDefinition.time_window("2024-01-01", cron_schedule="0 25 * * *")


@fault("Partitions")
def format_without_day() -> None:
    """The format of keys cannot tell two days apart."""
    rs.PartitionsDefinition.daily("2024-01-01", fmt="%Y-%m")


@fault("Partitions")
def run_without_key() -> None:
    """A partitioned asset is run without a key."""
    repository(visits).materialize()


@fault("Partitions")
def run_with_unknown_key() -> None:
    """A key is not in the definition."""
    repository(visits).materialize(partition_key=PartitionKey.single("2024-02-30"))


@fault("Partitions")
def key_for_unpartitioned_asset() -> None:
    """An asset without partitions is run with a key."""
    repository(orders).materialize(["orders"], partition_key=PartitionKey.single("2024-01-01"))


@fault("Partitions")
def context_without_key() -> None:
    """A function asks for the key of an asset without partitions."""
    rs.AssetExecutionContext("orders").partition_key  # noqa: B018


@fault("Partitions")
def unmatched_static_mapping() -> None:
    """A partition mapping names a key that does not exist."""
    regions = rs.PartitionsDefinition.static_(["east", "west"])
    upstream = rs.Asset(name="sales", partitions_def=regions)(lambda: 1)

    def summary(sales: int) -> int:
        return sales

    mapping = rs.PartitionMapping.static_({"all": ["east", "wset"]})
    downstream = rs.Asset(
        partitions_def=rs.PartitionsDefinition.static_(["all"]),
        deps=[rs.AssetDef.input("sales", partition_mapping=mapping)],
    )(summary)
    repository(upstream, downstream).validate()


@fault("Partitions")
def dynamic_key_that_was_not_added() -> None:
    """A dynamic key was never added."""
    asset = rs.Asset(name="customers", partitions_def=rs.PartitionsDefinition.dynamic("tenants"))(lambda: 1)
    repository(asset).materialize(partition_key=PartitionKey.single("acme"))


# --- runs


def _run(function: Callable[..., object], **options: object) -> None:
    repository(rs.Asset(name="orders", **options)(function)).materialize()  # type: ignore[call-overload]


@fault("Runs")
def function_that_raises() -> None:
    """The function of an asset raises an error."""

    def divide() -> float:
        return 1 / 0

    _run(divide)


@fault("Runs")
def value_of_wrong_type() -> None:
    """A function returns something else than its annotation says."""

    def orders() -> list[int]:
        return "30, 12"  # type: ignore[return-value]

    _run(orders)


@fault("Runs")
def spent_generator() -> None:
    """A function returns a generator, which cannot be pickled."""
    handler = rs.PickleIOHandler(store="file:./data")
    _run(lambda: (number for number in range(3)), io_handler=handler)


@fault("Runs")
def value_with_lock() -> None:
    """A value contains an object that pickle does not support."""
    _run(lambda: {"rows": [30, 12], "lock": Lock()}, io_handler=rs.PickleIOHandler(store="file:./data"))


@fault("Runs")
def value_that_is_not_json() -> None:
    """A value contains something that JSON does not have."""
    _run(lambda: {"when": {1, 2}}, io_handler=JsonIOHandler(store="file:./data"))


@fault("Runs")
def step_that_is_too_slow() -> None:
    """A step needs more time than its timeout."""

    async def orders() -> None:
        import asyncio

        await asyncio.sleep(60)

    _run(orders, timeout=0.01)


@fault("Runs")
def failing_command() -> None:
    """The command of a `BashTask` fails."""
    copy = rs.BashTask("copy", "echo no space left >&2; exit 3")
    repository(tasks=[copy]).materialize()


@fault("Runs")
def output_that_never_came() -> None:
    """A multi-asset does not return an output that it declares."""

    def split() -> dict[str, int]:
        return {"train": 1}

    asset = rs.Asset.from_multi(split, output_defs=[rs.AssetDef("train"), rs.AssetDef("test")], name="split")
    repository(asset).materialize()


@fault("Runs")
def configuration_of_wrong_type() -> None:
    """The configuration of an asset has a wrong value."""

    class Limits(BaseModel):
        top: int = 3

    def orders(context: object) -> int:
        return 1

    orders.__annotations__["context"] = rs.AssetExecutionContext[Limits]
    asset = rs.Asset(orders)
    repository(asset).materialize(config={"orders": {"top": "many"}})


@fault("Runs")
def configuration_of_unknown_asset() -> None:
    """The configuration names an asset that does not exist."""
    repository(orders).materialize(config={"ordrs": {"top": 1}})


@fault("Runs")
def unknown_run_to_resume() -> None:
    """A run that should be resumed does not exist."""
    repository(orders).materialize(resume=True, run_id_override="monday")


@fault("Runs")
def upstream_never_stored() -> None:
    """An asset is run alone, and its input was never stored."""
    repository(orders, total, default_executor=rs.Executor.in_process()).materialize(["total"])


@fault("Runs")
def data_not_materialized() -> None:
    """A value is loaded that was never stored."""
    repository(orders).load_node("orders")


# --- stored values


def _pickle(**settings: object) -> rs.PickleIOHandler:
    return rs.PickleIOHandler(store="file:./data", **settings)  # type: ignore[arg-type]


def _stored(handler: object, value: object) -> Path:
    handler.handle_output(OutputContext("orders"), value)  # type: ignore[attr-defined]
    return next(path for path in Path("data").rglob("orders*") if path.is_file())


ASKED: Final = InputContext("orders", "total", type_hint=pa.Table)


@fault("Stored values")
def damaged_pickle() -> None:
    """A byte of a pickle object was changed."""
    file = _stored(_pickle(), [30, 12])
    content = bytearray(file.read_bytes())
    content[5] ^= 1
    file.write_bytes(content)
    _pickle().load_input(ASKED)


@fault("Stored values")
def truncated_pickle() -> None:
    """A pickle object was cut off."""
    file = _stored(_pickle(), [30, 12])
    file.write_bytes(file.read_bytes()[:-9])
    _pickle().load_input(ASKED)


@fault("Stored values")
def foreign_pickle() -> None:
    """A file in the place of a pickle object is something else."""
    _stored(_pickle(), 1).write_bytes(b"<html>404</html>")
    _pickle().load_input(ASKED)


@fault("Stored values")
def unsigned_pickle() -> None:
    """A handler with a signing key reads an object that was stored without."""
    _stored(_pickle(), 1)
    _pickle(signing_key=KEY).load_input(ASKED)


@fault("Stored values")
def other_key() -> None:
    """An object was signed with another key."""
    _stored(_pickle(signing_key=KEY), 1)
    _pickle(signing_key=KEY.upper()).load_input(ASKED)


@fault("Stored values")
def unsigned_write_to_signed_store() -> None:
    """A handler without key would replace a signed object."""
    _stored(_pickle(signing_key=KEY), 1)
    _stored(_pickle(), 2)


@fault("Stored values")
def class_that_is_not_allowed() -> None:
    """An object refers to a class that the handler does not allow."""
    from fractions import Fraction

    _stored(_pickle(), Fraction(1, 2))
    _pickle(allow=["datetime:date"]).load_input(ASKED)


@fault("Stored values")
def unknown_pickle_version() -> None:
    """An earlier version was not kept."""
    repo = repository(rs.Asset(name="orders", io_handler=_pickle(keep_versions=1))(lambda: 1))
    repo.materialize()
    repo.load_node("orders", version="blake3:00")


@fault("Stored values")
def folder_in_place_of_file() -> None:
    """A folder lies where the file should be."""
    file = _stored(_pickle(), 1)
    file.unlink()
    file.mkdir()
    (file / "note").touch()
    _stored(_pickle(), 2)


@fault("Stored values")
def damaged_json() -> None:
    """A JSON file was cut off."""
    handler = JsonIOHandler(store="file:./data")
    file = _stored(handler, {"a": [1, 2]})
    file.write_text('{"a": [1')
    handler.load_input(ASKED)


@fault("Stored values")
def damaged_parquet() -> None:
    """A Parquet file is something else."""
    handler = ParquetIOHandler(store="file:./data")
    _stored(handler, pa.table({"n": [1]})).write_bytes(b"n\n1\n")
    handler.load_input(ASKED)


@fault("Stored values")
def missing_parquet_column() -> None:
    """A column that is requested does not exist in a Parquet file."""
    handler = ParquetIOHandler(store="file:./data")
    _stored(handler, pa.table({"price": [1]}))
    handler.load_input(InputContext("orders", "total", {"parquet/columns": ["prize"]}, type_hint=pa.Table))


def _lake(value: pa.Table, **metadata: str) -> None:
    options = {f"delta/{name}": text for name, text in metadata.items()}
    DeltaIOHandler("./lake").handle_output(OutputContext("orders", options), value)


@fault("Stored values")
def changed_column_type() -> None:
    """A column of a Delta table has another type than the rows that are added."""
    _lake(pa.table({"n": [1]}))
    _lake(pa.table({"n": ["one"]}), mode="append")


@fault("Stored values")
def new_column() -> None:
    """Rows that are added to a Delta table have a column that the table does not have."""
    _lake(pa.table({"n": [1]}))
    _lake(pa.table({"n": [1], "price": [2.5]}), mode="append")


@fault("Stored values")
def existing_table() -> None:
    """A Delta table exists already, and the mode is `error`."""
    _lake(pa.table({"n": [1]}))
    _lake(pa.table({"n": [2]}), mode="error")


@fault("Stored values")
def partition_column_missing() -> None:
    """The rows of a partition lack the column that holds its key."""
    partition = PartitionContext([PartitionKey.single("2024-01-01")], DAILY)
    context = OutputContext("visits", {"delta/partition_expr": "day"}, partition)
    DeltaIOHandler("./lake").handle_output(context, pa.table({"date": ["2024-01-01"]}))


@fault("Stored values")
def rows_of_other_partition() -> None:
    """The rows of a partition hold the key of another one."""
    partition = PartitionContext([PartitionKey.single("2024-01-01")], DAILY)
    context = OutputContext("visits", {"delta/partition_expr": "day"}, partition)
    DeltaIOHandler("./lake").handle_output(context, pa.table({"day": ["2024-01-02"]}))


@fault("Stored values")
def unknown_delta_version() -> None:
    """A version of a Delta table does not exist."""
    _lake(pa.table({"n": [1]}))
    DeltaIOHandler("./lake").load_input(
        InputContext("orders", "total", {"delta/version": 7}, type_hint=pa.Table)
    )


@fault("Stored values")
def delta_never_stored() -> None:
    """A Delta table does not exist."""
    _lake(pa.table({"n": [1]}))
    DeltaIOHandler("./lake").load_input(InputContext("order", "total", type_hint=pa.Table))


@fault("Stored values")
def value_that_is_not_a_table() -> None:
    """A value is not a table."""
    DeltaIOHandler("./lake").handle_output(OutputContext("orders"), 42)


@fault("Stored values")
def overlay_never_stored() -> None:
    """Neither layer of an overlay has a value."""
    handler = OverlayIOHandler(top=_pickle(), base=JsonIOHandler(store="file:./production"))
    handler.load_input(ASKED)


# --- event log


@fault("Event log")
def damaged_event_log() -> None:
    """The file of the event log is something else."""
    Path("log").mkdir()
    with rs.Storage.embedded("log"):
        pass
    next(path for path in Path("log").iterdir() if path.suffix == ".db").write_bytes(b"not a database" * 99)
    rs.Storage.embedded("log").get_runs()


@fault("Event log")
def event_log_is_a_file() -> None:
    """The folder of the event log is a file."""
    Path("log").write_text("")
    rs.Storage.embedded("log").get_runs()


@fault("Event log")
def event_log_of_newer_version() -> None:
    """A newer version of rivers wrote the event log."""
    import sqlite3

    with rs.Storage.embedded("log") as storage:
        storage.add_dynamic_partitions("tenants", ["acme"])
    database = sqlite3.connect(next(path for path in Path("log").iterdir() if path.suffix == ".db"))
    database.execute("PRAGMA user_version = 999")
    database.close()
    rs.Storage.embedded("log").get_runs()


@fault("Event log")
def unknown_event_storage() -> None:
    """The address of the event log has an unknown scheme."""
    rs.Storage.connect("mysql://db/rivers")


# --- command


@fault("Command")
def no_repository() -> str:
    """The command does not find a repository."""
    return command("assets")


@fault("Command")
def module_not_found() -> str:
    """The module of the repository does not exist."""
    Path("rivers.toml").write_text('repository = "pipelines:repo"\n')
    return command("assets")


@fault("Command")
def variable_not_found() -> str:
    """The module has no variable of that name."""
    project()
    Path("rivers.toml").write_text('repository = "definitions:rep"\n')
    return command("assets")


@fault("Command")
def definitions_that_raise() -> str:
    """The module of the repository raises an error."""
    project(definitions="limit = int('many')\n")
    return command("assets")


@fault("Command")
def unknown_command() -> str:
    """A command is misspelled."""
    return command("materialise")


@fault("Command")
def unknown_asset_in_command() -> str:
    """A command names an asset that does not exist."""
    project()
    return command("load", "order")


@fault("Command")
def failing_run() -> str:
    """A run fails."""
    project(definitions=PIPELINE.replace("[30, 12]", "open('orders.csv').readlines()"))
    return command("materialize")


@fault("Command")
def unknown_handler_in_command() -> str:
    """A command names a handler that does not exist."""
    project('[io_handlers.lake]\nuse = "delta"\ntable_uri = "./lake"\n')
    return command("handlers", "show", "lak")


@fault("Command")
def invalid_setting_in_command() -> str:
    """A setting on the command line lacks its asset."""
    project()
    return command("materialize", "--set", "top=3")


@fault("Command")
def new_project_in_the_way() -> str:
    """The folder of a new project exists already."""
    Path("shop").mkdir()
    Path("shop", "rivers.toml").touch()
    return command("new", "shop")


if __name__ == "__main__":
    PAGE.write_text(page())
