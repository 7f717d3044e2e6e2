from __future__ import annotations

import copy
import datetime as dt
import decimal
import fractions
import inspect
import json
import math
import pickle
import re
from enum import Enum
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivers_core.exceptions import InvalidMetadataError
from rivers_core.metadata import MetadataValue, Schema, coerce, coerce_mapping

M = MetadataValue
UTC = dt.UTC
EXAMPLES = {
    "Text": (M.text('say "hi"'), 'say "hi"', 'say "hi"'),
    "Int": (M.int(2**70), 2**70, str(2**70)),
    "Float": (M.float_(0.1), 0.1, "0.1"),
    "Bool": (M.bool_(True), True, "true"),
    "Url": (M.url("https://example.com/a?b=1"), "https://example.com/a?b=1", "https://example.com/a?b=1"),
    "Path": (M.path(Path("a/b")), "a/b", "a/b"),
    "Json": (M.json({"b": [1, None], "a": "x"}), {"b": [1, None], "a": "x"}, '{"b": [1, null], "a": "x"}'),
    "Markdown": (M.md("# Title"), "# Title", "# Title"),
    "Timestamp": (
        M.timestamp(dt.datetime(2024, 1, 31, 12, 0, 0, 1, UTC)),
        dt.datetime(2024, 1, 31, 12, 0, 0, 1, UTC).timestamp(),
        "2024-01-31T12:00:00.000001+00:00",
    ),
    "Null": (M.null(), None, "null"),
    "Bytes": (M.bytes(1536), 1536, "1.5 KiB"),
    "Duration": (M.duration(1.5), 1.5, "1.5s"),
    "Sql": (M.sql("SELECT 1", dialect="postgres"), "SELECT 1", "SELECT 1"),
    "CodeBlock": (M.code_block("x = 1", language="python"), "x = 1", "x = 1"),
    "Image": (M.image(b"\x89PNG\r\n"), b"\x89PNG\r\n", "data:image/png;base64,iVBORw0K"),
    "Percentage": (M.percentage(12.0), 12.0, "12%"),
    "List": (M.list_([1, "a", None]), [M.int(1), M.text("a"), M.null()], "[1, a, null]"),
    "DateRange": (
        M.date_range("2024-01-01", "2024-02-01"),
        (dt.date(2024, 1, 1), dt.date(2024, 2, 1)),
        "2024-01-01/2024-02-01",
    ),
    "Schema": (
        M.schema(pa.schema({"id": pa.int64(), "name": pa.string()})),
        Schema(pa.schema({"id": pa.int64(), "name": pa.string()})),
        "id: int64, name: string",
    ),
    "DataVersion": (M.data_version("v1"), "v1", "v1"),
}


def test_metadata_kinds_are_declared_for_type_checkers():
    aliases = set(re.findall(r"^        (\w+): TypeAlias", inspect.getsource(MetadataValue), re.MULTILINE))
    constructors = set(
        re.findall(r"^        (\w+): ClassVar", inspect.getsource(MetadataValue), re.MULTILINE)
    )
    kinds = {getattr(MetadataValue, name) for name in aliases}

    assert aliases == set(EXAMPLES)
    assert {getattr(MetadataValue, name) for name in constructors} == kinds
    assert all(kind.__name__ == f"{name}MetadataValue" for name in aliases for kind in [getattr(M, name)])


@pytest.mark.parametrize("variant", EXAMPLES)
def test_metadata_returns_raw_value_and_text(variant):
    value, raw, text = EXAMPLES[variant]

    assert type(value) is getattr(MetadataValue, variant)
    assert isinstance(value, MetadataValue)
    assert value.raw_value() == raw
    assert value.to_text() == text


@pytest.mark.parametrize("variant", EXAMPLES)
def test_metadata_round_trips_json_pickle_and_copy(variant):
    value = EXAMPLES[variant][0]

    for restored in (M.from_json(value.to_json()), pickle.loads(pickle.dumps(value)), copy.deepcopy(value)):
        assert type(restored) is type(value)
        assert restored == value
        assert hash(restored) == hash(value)
        assert repr(restored) == repr(value)


@pytest.mark.parametrize("variant", sorted(EXAMPLES.keys() - {"Schema"}))
def test_metadata_repr_is_constructor_call(variant):
    value = EXAMPLES[variant][0]

    assert eval(repr(value), {"datetime": dt, "MetadataValue": M}) == value


def test_metadata_repr_is_short():
    assert repr(M.sql("SELECT 1", dialect="postgres")) == 'MetadataValue.sql("SELECT 1", dialect="postgres")'
    assert repr(M.sql("SELECT 1")) == 'MetadataValue.sql("SELECT 1")'
    assert repr(M.md("# a")) == 'MetadataValue.md("# a")'
    assert repr(M.float_(1)) == "MetadataValue.float_(1.0)"
    assert repr(M.null()) == "MetadataValue.null()"
    assert repr(M.list_([1])) == "MetadataValue.list_([MetadataValue.int(1)])"


@given(
    st.one_of(
        st.text().map(M.text),
        st.integers().map(M.int),
        st.floats().map(M.float_),
        st.floats().map(M.percentage),
        st.integers().map(M.bytes),
        st.binary().map(M.image),
        st.datetimes().map(lambda at: M.timestamp(at.replace(fold=0))),
        st.timedeltas().map(M.duration),
        st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5).map(
            M.json
        ),
        st.lists(st.none() | st.integers() | st.text()).map(M.list_),
        st.lists(st.dates(), min_size=2, max_size=2).map(sorted).map(lambda days: M.date_range(*days)),
    )
)
def test_metadata_round_trips_json_for_any_value(value):
    restored = M.from_json(value.to_json())

    assert restored == value
    assert repr(restored) == repr(value)


def test_metadata_of_different_kinds_differs():
    assert M.text("a") != M.md("a")
    assert M.int(1) != M.bool_(True)
    assert M.int(1) != M.float_(1.0)
    assert len({M.text("a"), M.text("a"), M.md("a")}) == 2


def test_float_accepts_decimal_and_fraction():
    assert M.float_(decimal.Decimal("1.5")) == M.float_(1.5)
    assert M.percentage(fractions.Fraction(1, 2)) == M.percentage(0.5)
    with pytest.raises(TypeError, match=r"MetadataValue.float_\(\.\.\.\)"):
        coerce_mapping({"price": decimal.Decimal("1.5")})


def test_metadata_is_immutable():
    with pytest.raises(AttributeError, match="immutable"):
        M.int(1).value = 2
    json = M.json({"a": [1]})
    json.value["a"].append(2)
    assert json.value == {"a": [1]}


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_float_round_trips_infinity_and_nan(value):
    assert str(M.from_json(M.float_(value).to_json()).raw_value()) == str(value)
    assert "NaN" not in M.float_(value).to_json()


@pytest.mark.parametrize(
    ("plain", "variant"),
    [
        ("a", M.Text),
        (1, M.Int),
        (True, M.Bool),
        (1.5, M.Float),
        (None, M.Null),
        (np.int64(3), M.Int),
        (np.float32(0.5), M.Float),
    ],
)
def test_coerce_returns_kind_of_plain_value(plain, variant):
    value = coerce(plain)

    assert type(value) is variant
    assert value.raw_value() == plain
    assert coerce(value) is value


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ({"a": 1}, r"MetadataValue\.json"),
        ([1], r"MetadataValue\.json"),
        (b"a", r"MetadataValue\.bytes"),
        (dt.datetime(2024, 1, 1), r"MetadataValue\.timestamp"),
        (dt.timedelta(1), r"MetadataValue\.duration"),
        (Path("a"), r"MetadataValue\.path"),
        (object(), "str, int, float, bool, None"),
        ({1}, "got set"),
    ],
)
def test_coerce_rejects_other_types(value, hint):
    with pytest.raises(TypeError, match=hint) as caught:
        coerce(value)
    assert isinstance(caught.value, InvalidMetadataError)
    with pytest.raises(TypeError, match="Metadata 'rows'"):
        coerce_mapping({"rows": value})


def test_coerce_mapping_needs_text_names():
    assert coerce_mapping({"rows": 1}) == {"rows": M.int(1)}
    with pytest.raises(TypeError, match="must be text"):
        coerce_mapping({1: "a"})
    for no_dictionary in (None, [("rows", 1)], "rows"):
        with pytest.raises(TypeError, match="must be a dictionary"):
            coerce_mapping(no_dictionary)


@pytest.mark.parametrize(
    "url", ["https://a.b/", "http://localhost:80/x", "s3://bucket/key", "file:///tmp/x", "mailto:a@b.c"]
)
def test_url_accepts_any_scheme(url):
    assert M.url(url).value == url


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("https://example.com", "https://example.com/"),
        ("HTTPS://Example.COM/Path?Q=A#F", "https://example.com/Path?Q=A#F"),
        ("http://User:Pw@Example.com:80", "http://User:Pw@example.com:80/"),
        ("s3://bucket", "s3://bucket"),
        ("MAILTO:A@b.c", "mailto:A@b.c"),
    ],
)
def test_url_is_canonical(given, canonical):
    assert M.url(given).raw_value() == canonical
    assert M.url(given) == M.url(canonical)


@pytest.mark.parametrize("text", ['{"a": 1}', "[1, 2]", '"text"', "1"])
def test_json_text_is_kept_as_text(text):
    value = M.json(text)
    assert value.raw_value() == value.to_text() == text
    assert M.from_json(value.to_json()) == pickle.loads(pickle.dumps(value)) == value


def test_json_that_was_stored_as_a_string_stays_a_string():
    value = M.from_json('{"type": "json", "value": "[1]"}')
    assert value.raw_value() == "[1]"
    assert M.from_json(value.to_json()).to_text() == value.to_text()


@pytest.mark.parametrize(
    ("stored", "value"),
    [
        ('{"type": "bytes", "value": "AP8="}', M.bytes(2)),
        ('{"type": "timestamp", "value": "2024-01-31T12:30:00+00:00"}', M.timestamp(1706704200.0)),
        ('{"type": "duration", "seconds": 1, "microseconds": 500000}', M.duration(1.5)),
    ],
)
def test_metadata_reads_fields_of_release_0_1(stored, value):
    assert M.from_json(stored) == value


def test_arrow_schemas_are_coerced():
    assert coerce(pa.schema({"id": pa.int64()})) == M.schema(Schema(pa.schema({"id": pa.int64()})))
    assert coerce(Schema(pa.schema({"id": pa.int64()}))).raw_value().names == ["id"]
    assert Schema.from_ipc(M.schema(pa.schema({"id": pa.int64()})).ipc_bytes).names == ["id"]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "https://",
        "https:///path",
        "https://a b",
        "http://a:port/",
        "x:",
        "C:\\a",
        "http://[::1",
        "javascript:alert(1)",
        "data:text/html,x",
    ],
)
def test_url_rejects_malformed_text(url):
    with pytest.raises(InvalidMetadataError, match="Not a URL"):
        M.url(url)


@pytest.mark.parametrize(
    "build",
    [
        lambda: M.text(1),
        lambda: M.int("1"),
        lambda: M.int(1.5),
        lambda: M.int(True),
        lambda: M.float_("1"),
        lambda: M.float_(False),
        lambda: M.bool_(1),
        lambda: M.url(1),
        lambda: M.path(1),
        lambda: M.json({1, 2}),
        lambda: M.md(None),
        lambda: M.timestamp(None),
        lambda: M.bytes("a"),
        lambda: M.duration("1s"),
        lambda: M.sql(1),
        lambda: M.code_block("a", 1),
        lambda: M.image(1),
        lambda: M.percentage("1%"),
        lambda: M.list_("ab"),
        lambda: M.list_([object()]),
        lambda: M.date_range(1, 2),
        lambda: M.schema("a"),
        lambda: M.data_version(1),
    ],
)
def test_constructors_reject_wrong_types(build):
    with pytest.raises(TypeError) as caught:
        build()
    assert isinstance(caught.value, InvalidMetadataError)


@pytest.mark.parametrize(
    "build",
    [
        lambda: M.timestamp("yesterday"),
        lambda: M.date_range("2024-02-01", "2024-01-01"),
        lambda: M.date_range("soon", "2024-01-01"),
        lambda: M.date_range("2024-01-01", "2024-01-01T12:00:00"),
        lambda: M.timestamp(1e20),
        lambda: M.timestamp(float("nan")),
        lambda: M.duration(float("inf")),
        lambda: M.duration(float("nan")),
    ],
)
def test_constructors_reject_invalid_times(build):
    with pytest.raises(InvalidMetadataError):
        build()


def test_timestamp_and_duration_accept_numbers():
    noon = dt.datetime(2024, 1, 31, 12)

    assert M.timestamp(noon) == M.timestamp("2024-01-31T12:00:00")
    assert M.timestamp(0).value == 0.0
    assert M.timestamp(dt.datetime(1970, 1, 1, 1, tzinfo=UTC)) == M.timestamp(3600)
    assert M.duration(dt.timedelta(minutes=1)) == M.duration(60)
    assert M.duration(60).to_text() == "60s"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "[]",
        "{}",
        '{"type": "int"}',
        '{"type": "bytes", "value": "?"}',
        '{"type": "duration", "seconds": 1e300, "microseconds": 0}',
        "[" * 100_000,
    ],
    ids=lambda text: text[:20],
)
def test_from_json_rejects_malformed_text(text):
    with pytest.raises(InvalidMetadataError):
        M.from_json(text)


def test_from_json_names_unknown_kind():
    with pytest.raises(InvalidMetadataError, match=r"'hologram' is unknown.*newer version"):
        M.from_json('{"type": "hologram", "value": 1}')


def test_coerce_numpy_bool():
    numpy = pytest.importorskip("numpy")
    assert coerce(numpy.bool_(True)) == MetadataValue.bool_(True)
    assert MetadataValue.bool_(numpy.bool_(False)).value is False


def test_coerce_text_enum_is_its_value():
    class Region(str, Enum):  # noqa: UP042 - StrEnum has another `__str__`
        EU = "eu"

    value = coerce_mapping({Region.EU: Region.EU})
    assert [(name, type(name), item.to_text()) for name, item in value.items()] == [("eu", str, "eu")]


@pytest.mark.parametrize("array", ["numpy.array([1])", "pandas.Index([1])"])
def test_coerce_array_suggests_conversion(array):
    module = pytest.importorskip(array.split(".")[0])
    value = eval(array, {module.__name__: module})
    with pytest.raises(TypeError, match=r"Use MetadataValue\.json\("):
        coerce(value)


@given(st.text() | st.integers())
def test_to_json_is_the_text_of_the_json_encoder(value):
    metadata = MetadataValue.text(value) if isinstance(value, str) else MetadataValue.int(value)
    assert metadata.to_json() == json.dumps(metadata.to_plain(), ensure_ascii=False)
