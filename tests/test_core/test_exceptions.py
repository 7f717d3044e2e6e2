from __future__ import annotations

import copy
import pickle

import pytest

from rivers import exceptions as engine_exceptions
from rivers.exceptions import GraphValidationError
from rivers_core import exceptions
from rivers_core.exceptions import ConfigurationError, NotMaterializedError, RiversError
from rivers_core.partitions import PartitionKey

CORE_ERRORS = {
    "FindingsError": ValueError,
    "ConfigurationError": ValueError,
    "InvalidMetadataError": ValueError,
    "MetadataTypeError": TypeError,
    "PartitionDefinitionError": ValueError,
    "PartitionValidationError": ValueError,
    "IntegrityError": ValueError,
    "HandlerNotFoundError": LookupError,
    "VersionNotFoundError": LookupError,
    "AssetOutputValidationError": TypeError,
    "ConflictError": RuntimeError,
    "OneShotValueError": RuntimeError,
    "NotMaterializedError": FileNotFoundError,
    "PluginLoadError": ImportError,
}
ENGINE_ERRORS = {
    "AssetDefinitionError": ValueError,
    "TaskDefinitionError": ValueError,
    "ResultDefinitionError": ValueError,
    "GraphValidationError": ValueError,
    "AssetNotFoundError": LookupError,
    "NodeNotFoundError": LookupError,
    "ExecutionError": RuntimeError,
    "StorageError": RuntimeError,
}
STANDARD = CORE_ERRORS | ENGINE_ERRORS


def test_core_exceptions_are_those_of_handlers():
    assert set(exceptions.__all__) == {"RiversError", *CORE_ERRORS}


def test_engine_exceptions_include_those_of_core():
    assert set(engine_exceptions.__all__) == {"RiversError", *STANDARD}
    assert all(getattr(engine_exceptions, name) is getattr(exceptions, name) for name in exceptions.__all__)


@pytest.mark.parametrize("name", STANDARD)
def test_error_is_also_a_standard_error(name):
    error = getattr(engine_exceptions, name)("what went wrong")

    assert isinstance(error, RiversError)
    assert isinstance(error, STANDARD[name])
    assert "what went wrong" in str(error)


@pytest.mark.parametrize("name", engine_exceptions.__all__)
def test_error_survives_pickling_and_copying(name):
    error = getattr(engine_exceptions, name)("what went wrong")
    error.add_note("seen on the way")

    for restored in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(restored) is type(error)
        assert str(restored) == str(error)
        assert restored.__notes__ == ["seen on the way"]


@pytest.mark.parametrize("kind", [ConfigurationError, GraphValidationError])
def test_findings_error_lists_one_finding_per_line(kind):
    error = kind("Two things are wrong.", ["the first", "the second"])

    assert error.findings == ("the first", "the second")
    assert str(error) == "Two things are wrong.\n  - the first\n  - the second"
    assert pickle.loads(pickle.dumps(error)).findings == error.findings


def test_not_materialized_names_asset_place_and_nearest():
    error = NotMaterializedError(
        "orders",
        partition=PartitionKey("2024-01-02"),
        handler="PickleIOHandler",
        address="file:///data/orders",
        nearest="2024-01-01",
    )

    assert str(error) == (
        "Nothing is stored for asset 'orders', partition '2024-01-02' (PickleIOHandler, 'file:///data/orders'). "
        "Materialize it first. The nearest stored value: 2024-01-01."
    )
    restored = pickle.loads(pickle.dumps(error))
    assert (restored.asset_name, restored.partition) == ("orders", PartitionKey("2024-01-02"))
    assert (restored.handler, restored.address) == ("PickleIOHandler", "file:///data/orders")
    assert str(restored) == str(error)


def test_not_materialized_searches_nearest_lazily_and_once():
    calls = []

    def find() -> str:
        calls.append("called")
        return "2024-01-01"

    error = NotMaterializedError("orders", nearest=find)
    assert not calls
    assert str(error).endswith("2024-01-01.")
    assert (error.nearest, pickle.loads(pickle.dumps(error)).nearest) == ("2024-01-01", "2024-01-01")
    assert calls == ["called"]


def test_not_materialized_ignores_failing_search():
    error = NotMaterializedError("orders", nearest=lambda: 1 / 0)

    assert str(pickle.loads(pickle.dumps(error))) == str(error) == str(NotMaterializedError("orders"))


def test_not_materialized_omits_unknown_facts():
    assert str(NotMaterializedError("orders")) == (
        "Nothing is stored for asset 'orders'. Materialize it first."
    )
    assert "('x')" in str(NotMaterializedError("orders", address="x"))
    assert str(NotMaterializedError("orders", message="Gone.")) == "Gone."


def test_not_materialized_is_chained_without_errno():
    cause = OSError(2, "No such file")
    with pytest.raises(FileNotFoundError) as caught:
        raise NotMaterializedError("orders") from cause

    assert caught.value.errno is None
    assert caught.value.__cause__ is cause
