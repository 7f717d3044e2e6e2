"""Errors of libraries become one sentence that names asset, table and cause."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
import pytest
from polars.exceptions import PanicException

from rivers_core.contexts import OutputContext
from rivers_core.exceptions import AssetOutputValidationError, RiversError
from rivers_delta.errors import redact_library_text, table_error
from tests.test_delta.foreign import field, write_foreign
from tests.test_delta.support import Lake

ROW = pl.DataFrame({"id": [1], "v": ["x"]})


class SourceError(Exception):
    """An exception of the user's own."""


def broken_reader(error):
    def batches():
        yield from ROW.to_arrow().to_batches()
        raise error

    return pa.RecordBatchReader.from_batches(ROW.to_arrow().schema, batches())


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("the source broke"), "ValueError: the source broke."),
        (KeyError("missing"), "KeyError: 'missing'."),
        (SourceError("why: line 1\nand line 2\nlast"), "SourceError: why: line 1\nand line 2\nlast."),
        (ValueError(), "ValueError."),
        (MemoryError("too much"), "MemoryError: too much."),
    ],
    ids=["one sentence", "a key", "several lines", "no text", "memory"],
)
@pytest.mark.parametrize("mode", ["append", "merge"])
def test_errors_of_readers_lose_traceback(lake, error, expected, mode):
    lake.store(ROW)
    with pytest.raises(RiversError) as failure:
        lake.store(broken_reader(error), mode=mode, merge_predicate="s.id = t.id")
    assert str(failure.value).endswith(f"lake/asset': {expected}")
    assert "Traceback" not in str(failure.value.__cause__)


def test_errors_show_last_exception_of_chain():
    message = redact_library_text(
        "Arrow error: C Data interface error: Invalid: at last. Detail: Python exception: Traceback (most recent call "
        'last):\n  File "a.py", line 1, in f\n    1 / 0\nZeroDivisionError: division by zero\n\nThe above exception '
        "was the direct cause of the following exception:\n\nTraceback (most recent call last):\n"
        '  File "a.py", line 3, in f\n    raise ValueError\nsome.package.LoadError: at last\n'
    )
    assert message == "LoadError: at last"


@pytest.mark.parametrize("doing", ["store", "load", "exists", "delete", "maintain"])
def test_errors_name_asset_of_native_panic(lake, monkeypatch, doing):
    lake.store(ROW)

    def panic(*args, **kwargs):
        raise PanicException("called `Result::unwrap()` on an `Err` value\nstack backtrace:\n   0: main")

    for module in ("read.load", "write.delete", "write.retry", "maintenance"):
        monkeypatch.setattr(f"rivers_delta.{module}.open_table", panic)
    deed = {
        "store": lambda: lake.store(ROW),
        "load": lake.load,
        "exists": lambda: lake.handler.exists(lake.asked()),
        "delete": lambda: lake.handler.delete(lake.asked()),
        "maintain": lambda: lake.handler.maintain([lake.asked()]),
    }[doing]
    with pytest.raises(RiversError, match=r"lake/asset'.*panicked: called `Result::unwrap\(\)") as failure:
        deed()
    assert str(failure.value).rstrip(".").endswith("on an `Err` value")
    assert "asset 'asset'" in str(failure.value) or doing == "maintain"
    assert not isinstance(failure.value.__cause__, PanicException)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_errors_let_process_exits_pass(lake, monkeypatch, error):
    def stop(*args, **kwargs):
        raise error

    monkeypatch.setattr("rivers_delta.write.retry.open_table", stop)
    with pytest.raises(error):
        lake.store(ROW)


def test_errors_name_asset_of_failed_query(lake):
    with pytest.raises(
        RiversError, match=r"write asset 'asset'.*lake/asset': unable to find column \"nope\".*\]\.$"
    ):
        lake.store(ROW.lazy().select("nope"))


ASKED = "Kernel error -> Generic S3 error: Error performing GET http://host/b/t/_delta_log/_last_checkpoint in 3ms - "


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (
            "Server returned non-2xx status code: 503 Service Unavailable: <Code>SlowDown</Code>",
            ConnectionError,
        ),
        ("Server returned non-2xx status code: 429 Too Many Requests: ", ConnectionError),
        ("HTTP error: error sending request: client error (Connect): tcp connect error", ConnectionError),
        ("HTTP error: error sending request: operation timed out", TimeoutError),
        ("Server returned non-2xx status code: 408 Request Timeout: ", TimeoutError),
        ("Server returned non-2xx status code: 403 Forbidden: <Code>AccessDenied</Code>", PermissionError),
        ("Server returned non-2xx status code: 400 Bad Request: ", RuntimeError),
        ("Server returned non-2xx status code: 501 Not Implemented: ", RuntimeError),
        ("HTTP error: builder error for url", OSError),
    ],
)
def test_errors_tell_transient_from_permanent(message, kind):
    for text in (ASKED + message, (ASKED + message).replace(": ", "\n  \x1b[31m↳\x1b[0m ")):
        failure = table_error("read", OutputContext("asset"), "s3://b/t", OSError(text), None)
        assert type(failure.__cause__) is kind


def test_errors_do_not_take_port_for_status():
    error = OSError("Error performing GET http://127.0.0.1:40385/b - HTTP error: error sending request")
    assert "credentials" not in str(table_error("read", OutputContext("asset"), "s3://b/t", error, None))


@pytest.mark.parametrize(
    ("metadata", "named"),
    [
        ({"delta.invariants": '{"expression": {"expression": "m > 0"}}'}, r"'m' \(m > 0\)"),
        ({"delta.generationExpression": "n * 2"}, r"'m' \(= n \* 2\)"),
    ],
)
@pytest.mark.parametrize("mode", ["append", "overwrite", "merge"])
def test_violated_rule_of_column_is_named(tmp_path, metadata, named, mode):
    rows = pa.table({"n": [1], "m": [2]})
    fields = [field("n", "long"), field("m", "long", **metadata)]
    write_foreign(tmp_path / "asset", fields, {"f.parquet": (rows, {})}, protocol=(1, 4))
    lake = Lake(tmp_path)
    with pytest.raises(AssetOutputValidationError, match=f"asset 'asset'.*{named}"):
        lake.store(pa.table({"n": [1], "m": [-1]}), mode=mode, merge_predicate="s.n = t.n")
    assert lake.load(pa.Table).equals(rows)


@pytest.mark.parametrize("mode", ["overwrite", "merge", "create_or_replace"])
def test_change_of_append_only_table_names_property(tmp_path, mode):
    rows = pa.table({"n": [1]})
    configuration = {"delta.appendOnly": "true"}
    write_foreign(
        tmp_path / "asset", [field("n", "long")], {"f.parquet": (rows, {})}, configuration=configuration
    )
    lake = Lake(tmp_path)
    with pytest.raises(RiversError, match="asset 'asset'.*delta.appendOnly"):
        lake.store(rows, mode=mode, merge_predicate="s.n = t.n")
    lake.store(pa.table({"n": [2]}), mode="append")
    assert sorted(lake.load(pa.Table)["n"].to_pylist()) == [1, 2]


def test_catalog_managed_table_is_refused_by_feature(tmp_path):
    rows = pa.table({"n": [1]})
    write_foreign(
        tmp_path / "asset", [field("n", "long")], {"f.parquet": (rows, {})}, features=["catalogManaged"]
    )
    lake = Lake(tmp_path)
    for attempt in (lambda: lake.load(pa.Table), lambda: lake.store(rows, mode="append")):
        with pytest.raises(RiversError, match="asset 'asset'.*'catalogManaged'"):
            attempt()


def test_violated_constraint_is_named(lake):
    lake.store(pl.DataFrame({"n": [1]}))
    lake.table().alter.add_constraint({"positive": "n > 0"})
    with pytest.raises(AssetOutputValidationError, match=r"asset 'asset'.*2 rows.*'positive' \(n > 0\)"):
        lake.store(pl.DataFrame({"n": [-1, 2, -3]}), mode="append")
