from __future__ import annotations

import copy
import pickle

import pytest

from rivers_core import exceptions
from rivers_core.exceptions import ConfigurationError, GraphValidationError, NotMaterializedError, RiversError
from rivers_core.partitions import PartitionKey

STDLIB = {
    "AssetDefinitionError": ValueError,
    "TaskDefinitionError": ValueError,
    "ResultDefinitionError": ValueError,
    "GraphValidationError": ValueError,
    "ConfigurationError": ValueError,
    "InvalidMetadataError": ValueError,
    "PartitionDefinitionError": ValueError,
    "PartitionValidationError": ValueError,
    "IntegrityError": ValueError,
    "AssetNotFoundError": LookupError,
    "NodeNotFoundError": LookupError,
    "HandlerNotFoundError": LookupError,
    "AssetOutputValidationError": TypeError,
    "ExecutionError": RuntimeError,
    "StorageError": RuntimeError,
    "ConflictError": RuntimeError,
    "SpentValueError": RuntimeError,
    "NotMaterializedError": FileNotFoundError,
    "PluginLoadError": ImportError,
}


def test_every_public_error_has_a_standard_counterpart_in_the_table_above():
    assert set(exceptions.__all__) == {"RiversError", *STDLIB}


@pytest.mark.parametrize("name", sorted(STDLIB))
def test_an_error_is_caught_as_a_rivers_error_and_as_the_standard_one(name):
    error = getattr(exceptions, name)("what went wrong")

    assert isinstance(error, RiversError)
    assert isinstance(error, STDLIB[name])
    assert "what went wrong" in str(error)


@pytest.mark.parametrize("name", exceptions.__all__)
def test_an_error_survives_the_way_to_another_process(name):
    error = getattr(exceptions, name)("what went wrong")
    error.add_note("seen on the way")

    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is type(error)
        assert str(other) == str(error)
        assert other.__notes__ == ["seen on the way"]


@pytest.mark.parametrize("kind", [ConfigurationError, GraphValidationError])
def test_an_error_with_findings_lists_each_on_a_line(kind):
    error = kind("Two things are wrong.", ["the first", "the second"])

    assert error.findings == ("the first", "the second")
    assert str(error) == "Two things are wrong.\n  - the first\n  - the second"
    assert pickle.loads(pickle.dumps(error)).findings == error.findings


def test_not_materialized_says_what_where_and_what_exists_instead():
    error = NotMaterializedError(
        "orders",
        partition=PartitionKey("2024-01-02"),
        handler="PickleIOHandler",
        address="file:///data/orders",
        nearest="2024-01-01",
    )

    assert str(error) == (
        "Nothing is stored for partition '2024-01-02' of asset 'orders' (looked with PickleIOHandler at "
        "'file:///data/orders'). Materialize it first. The nearest that exists: 2024-01-01."
    )
    other = pickle.loads(pickle.dumps(error))
    assert (other.asset_name, other.partition, other.handler) == (
        "orders",
        PartitionKey("2024-01-02"),
        "PickleIOHandler",
    )
    assert str(other) == str(error)


def test_what_exists_instead_is_looked_for_once_and_only_by_who_reads_it():
    asked = []

    def look() -> str:
        asked.append("asked")
        return "2024-01-01"

    error = NotMaterializedError("orders", nearest=look)
    assert not asked
    assert str(error).endswith("The nearest that exists: 2024-01-01.")
    assert (error.nearest, pickle.loads(pickle.dumps(error)).nearest) == ("2024-01-01", "2024-01-01")
    assert asked == ["asked"]


def test_what_cannot_be_found_out_is_left_out():
    error = NotMaterializedError("orders", nearest=lambda: 1 / 0)
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == str(NotMaterializedError("orders"))


def test_not_materialized_leaves_out_what_nobody_knows():
    assert str(NotMaterializedError("orders")) == (
        "Nothing is stored for asset 'orders'. Materialize it first."
    )
    assert "(looked at 'x')" in str(NotMaterializedError("orders", address="x"))
    assert str(NotMaterializedError("orders", message="Gone.")) == "Gone."


def test_not_materialized_has_no_errno_and_can_be_chained():
    cause = OSError(2, "No such file")
    with pytest.raises(FileNotFoundError) as caught:
        raise NotMaterializedError("orders") from cause

    assert caught.value.errno is None
    assert caught.value.__cause__ is cause
