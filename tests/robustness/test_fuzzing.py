"""Entry points that read text and bytes of others: they return a value or an error of rivers, whatever they get."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import PurePosixPath

import pyarrow as pa
import pytest
from deltalake import DeltaTable, QueryBuilder, write_deltalake
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import rivers as rs
from rivers.exceptions import RiversError
from rivers_core import InputContext, OutputContext, PartitionKey
from rivers_core.config import load_config
from rivers_core.exceptions import ConfigurationError, IntegrityError, InvalidMetadataError
from rivers_core.keys import storage_key
from rivers_core.plugins import PluginRegistry
from rivers_delta import DeltaIOHandler
from rivers_delta.partitions.predicates import identifier, literal
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
