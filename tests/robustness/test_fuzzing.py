"""Entry points that read text and bytes of others: they return a value or an error of rivers, whatever they get."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from pathlib import PurePosixPath

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, QueryBuilder, write_deltalake
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import rivers as rs
from rivers.exceptions import RiversError
from rivers_cli.parsing import parse_partitions
from rivers_cli.run.request import create_executor
from rivers_core import InputContext, OutputContext, PartitionKey
from rivers_core.config import load_config
from rivers_core.exceptions import ConfigurationError, IntegrityError, InvalidMetadataError
from rivers_core.keys import storage_key
from rivers_core.plugins import PluginRegistry
from rivers_core.plugins.discovery import _read_entries
from rivers_delta import DeltaIOHandler
from rivers_delta.partitions.predicates import identifier, literal
from rivers_kubernetes.run_store import RunStore
from rivers_parquet import ParquetIOHandler
from rivers_pickle import PickleIOHandler
from rivers_pickle.format import object_name, parse_object_name, version_in_tail

FULL = bool(os.environ.get("FULL"))
fuzzed = settings(
    max_examples=20_000 if FULL else 25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
names = st.text(min_size=1, max_size=300)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)


@fuzzed
@given(names, names)
def test_storage_keys_stay_below_their_root(asset, key):
    for path in (
        storage_key(asset),
        storage_key(asset, PartitionKey.single("k" + key.replace("|", "").replace(",", ""))),
    ):
        parts = PurePosixPath(path).parts
        assert not path.startswith(("/", "\\", "~")) or path.startswith("~_")
        assert not {"..", ".", ""} & set(parts)
        assert path.isascii() or path.isprintable()
        assert all(len(part.encode()) <= 255 for part in parts)
        assert storage_key(asset) == storage_key(asset)


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    handler = PickleIOHandler(tmp_path_factory.mktemp("signed"), signing_key="a key of enough characters")
    handler.handle_output(OutputContext("asset"), {"n": [1, 2, 3]})
    return handler


@fuzzed
@given(data=st.data())
def test_signed_object_is_intact_or_refused(signed, data):
    file = next(path for path in signed.objects.all_paths("") if path.endswith(".pkl"))
    whole = bytes(signed.objects.read(file))
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    changed = whole[:start] + data.draw(st.binary(max_size=40)) + whole[end:]
    with suppress(RiversError), tempfile.TemporaryDirectory() as folder:
        copy = PickleIOHandler(folder, signing_key="a key of enough characters")
        copy.objects.target(file).put(changed)
        if changed == whole:
            assert copy.load_input(InputContext("asset", "next")) == {"n": [1, 2, 3]}
        else:
            with pytest.raises(IntegrityError):
                copy.load_input(InputContext("asset", "next"))


@fuzzed
@given(st.binary(max_size=400), st.booleans())
@example(b"\x89rivers-pickle\r\n", True)
def test_footer_of_any_bytes_is_described(tail, is_whole):
    assert (version_in_tail(tail, is_whole) is None) <= (not is_whole)
    name = object_name(tail, is_whole)
    assert name is None or parse_object_name(name) is not None


@fuzzed
@given(st.text() | st.builds("[io_handlers.{}]\nuse = {}".format, st.text(max_size=5), st.text(max_size=9)))
def test_any_text_is_a_configuration_or_an_error(text):
    with tempfile.TemporaryDirectory() as folder, suppress(ConfigurationError):
        path = os.path.join(folder, "rivers.toml")
        with open(path, "w", encoding="utf-8", errors="surrogatepass") as file:
            file.write(text)
        load_config(path, registry=PluginRegistry()).findings()


SECTIONS = (
    "repository", "default_io_handler", "default_executor", "durable", "io_handlers", "executors", "assets", "plugins",
    "environments",
)  # fmt: skip


@fuzzed
@given(st.dictionaries(st.sampled_from(SECTIONS), documents))
def test_any_document_is_a_configuration_or_an_error(document):
    with suppress(ConfigurationError):
        load_config(document, registry=PluginRegistry()).findings()


@fuzzed
@given(st.dictionaries(st.sampled_from(["partition_expr", "version", "columns", "mode", "merge_predicate",
                                        "change_feed", "writer_properties", "table_configuration", "other"]),
                       documents))  # fmt: skip
def test_any_delta_option_is_accepted_or_described(options):
    metadata = {f"delta/{name}": value for name, value in options.items()}
    problems = DeltaIOHandler("./lake").check_options(metadata)
    assert all(isinstance(problem, str) and problem for problem in problems)
    with suppress(InvalidMetadataError):
        DeltaIOHandler("./lake").storage_location("asset", metadata)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("table"))
    write_deltalake(folder, pa.table({"n": [1]}))
    return QueryBuilder().register("t", DeltaTable(folder))


@fuzzed
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40))
@example("' OR 1=1 --")
@example('\\\' OR "n" = 1')
def test_literals_of_delta_predicates_are_their_value(engine, text):
    query = (
        f"SELECT {literal(text)} AS {identifier('x' + text)} FROM t WHERE {literal(text)} = {literal(text)}"
    )
    rows = pa.table(engine.execute(query).read_all())
    assert rows.column(0).to_pylist() == [text]
    assert rows.column_names == ["x" + text]


@pytest.fixture(scope="module")
def project():
    @rs.Asset
    def orders() -> int:
        return 1

    @rs.Asset(group="daily", tags=["a b"], kinds=["table"])
    def report(orders: int) -> int:
        return orders

    with rs.CodeRepository([orders, report], config=False) as repo:
        yield repo.resolve(rs.Storage.memory())


@fuzzed
@given(st.text(st.sampled_from("orders report+-*?[]!'\" :1group:tag:kind:handler:\\\n\t")) | st.text())
def test_any_selection_names_assets_or_is_refused(project, text):
    with suppress(RiversError):
        selected = project.select(text)
        assert selected is not None
        assert set(selected) <= {"orders", "report"}


key_texts = st.text(st.sampled_from("ab12-.|,= :T%\\/é\n")) | st.text() | st.just("[" * 2_000)
DEFINITIONS = [
    rs.PartitionsDefinition.static_(["a", "b", "a.b", "é"]),
    rs.PartitionsDefinition.daily("2024-02-27", end="2024-03-03"),
    rs.PartitionsDefinition.monthly("2024-01", end="2024-06"),
    rs.PartitionsDefinition.multi(
        {"a": rs.PartitionsDefinition.static_(["1", "2"]), "b": rs.PartitionsDefinition.daily("2024-01-01")}
    ),
]


@fuzzed
@given(st.sampled_from(DEFINITIONS), st.lists(key_texts, min_size=1, max_size=3))
@example(DEFINITIONS[3], ["a=1..2|b=2024-01-01..2024-01-02"])
@example(DEFINITIONS[0], [".."])
def test_any_partition_option_names_keys_or_is_refused(definition, texts):
    with suppress(RiversError):
        request = parse_partitions(texts)
        if isinstance(request, rs.PartitionKeyRange):
            keys = request.resolve(definition)
        else:
            given = request if isinstance(request, list) else [request]
            keys = definition.ordered(given)
        assert all(definition.validate_partition_key(key) for key in keys)


@fuzzed
@given(
    key_texts
    | st.binary().map(repr)
    | documents.map(repr)
    | documents.map(lambda value: json.dumps(value, default=str))
)
@example('{"single":["a","a"]}')
@example('{"multi":{"a":[]}}')
@example('{"type":"table","value":{}}')
def test_any_text_is_a_key_or_metadata_or_is_refused(text):
    for kind in (PartitionKey, rs.MetadataValue):
        with suppress(RiversError):
            value = kind.from_json(text)
            assert kind.from_json(value.to_json()) == value


@fuzzed
@given(st.binary(max_size=400))
def test_any_bytes_are_a_schema_or_are_refused(data):
    with suppress(RiversError):
        repr(rs.Schema.from_ipc(data))


@pytest.fixture(scope="module")
def intact_schema():
    return rs.Schema(
        pa.schema([("a", pa.list_(pa.int64())), ("b", pa.dictionary(pa.int8(), pa.string()))])
    ).to_ipc()


@fuzzed
@given(data=st.data())
def test_changed_schema_is_read_or_refused(intact_schema, data):
    with suppress(RiversError):
        repr(rs.Schema.from_ipc(changed(data, intact_schema)))


@fuzzed
@given(
    st.builds("{}:{}".format, st.sampled_from(["in_process", "parallel", "dask", "", "é"]), key_texts)
    | st.builds("in_process:io_threads={}".format, documents)
    | key_texts
)
@example("in_process:io_threads=" + "[" * 2_000)
def test_any_executor_option_is_an_executor_or_is_refused(project, text):
    with suppress(RiversError):
        assert isinstance(create_executor(text, project), rs.Executor)


@pytest.fixture(scope="module")
def parquet(tmp_path_factory):
    handler = ParquetIOHandler(tmp_path_factory.mktemp("parquet"))
    handler.handle_output(OutputContext("asset"), pa.table({"n": list(range(100)), "t": ["x"] * 100}))
    return handler


@fuzzed
@given(data=st.data(), hint=st.sampled_from([pa.Table, pl.DataFrame]))
def test_changed_parquet_file_is_intact_or_refused(parquet, data, hint):
    whole = bytes(parquet.objects.read("asset.parquet"))
    bytes_now = changed(data, whole)
    with tempfile.TemporaryDirectory() as folder:
        copy = ParquetIOHandler(folder)
        copy.objects.target("asset.parquet").put(bytes_now)
        try:
            value = copy.load_input(InputContext("asset", "next", type_hint=hint))
        except RiversError:
            assert bytes_now != whole
        else:  # nothing was changed but the random number of the seal
            assert value.shape == (100, 2)
            assert list(value["n"].to_pylist() if hint is pa.Table else value["n"]) == list(range(100))


def changed(data, whole):
    """Return bytes with a part cut out, and others in its place."""
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 40)))
    return whole[:start] + data.draw(st.binary(max_size=40)) + whole[end:]


@pytest.fixture(scope="module")
def run_store(tmp_path_factory):
    store = RunStore(tmp_path_factory.mktemp("runs").as_uri(), b"k" * 32)
    store.put("rivers-runs/r/request", b"content")
    return store


@fuzzed
@given(data=st.data())
def test_changed_object_of_a_run_store_is_refused(run_store, data):
    whole = bytes(run_store._store.get("rivers-runs/r/request").bytes())
    now = changed(data, whole)
    run_store._store.put("rivers-runs/r/changed", now)
    with pytest.raises(IntegrityError):
        run_store.get("rivers-runs/r/changed")
    run_store._store.put("rivers-runs/r/request", now)
    try:
        if now == whole:
            assert run_store.get("rivers-runs/r/request") == b"content"
        else:
            with pytest.raises(IntegrityError):
                run_store.get("rivers-runs/r/request")
    finally:
        run_store._store.put("rivers-runs/r/request", whole)


lines = st.sampled_from(
    ["[rivers]", "[river]", "[rivers_executors]", "[console_scripts]", "[", "]", "=", "a=b:c", "#x"]
)


@fuzzed
@given(st.lists(lines | st.text(), max_size=6).map("\n".join))
def test_any_entry_points_are_plugins_or_described(text):
    class Installed:
        metadata = {"Name": "acme-x", "Version": "1"}
        name, version = "acme-x", "1"

        @staticmethod
        def read_text(name):
            return text

    for entry in _read_entries(Installed()):
        assert entry.distribution == "acme-x"
        assert str(entry)
