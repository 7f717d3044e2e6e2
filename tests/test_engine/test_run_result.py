"""Errors in run results."""

from __future__ import annotations

import pickle

import pytest

import rivers as rs


def failed_run():
    @rs.Asset
    def bad() -> int:
        raise ValueError("no such number")

    @rs.Asset
    def good() -> int:
        return 1

    return rs.CodeRepository([bad, good], config=False).materialize(raise_on_error=False)


def test_run_result_keeps_errors_with_traceback():
    result = failed_run()
    error = result.errors["bad"]
    assert isinstance(error, ValueError)
    assert error.__traceback__ is not None
    assert list(result.errors) == [name for name, _ in result.failed_assets]


def test_run_result_is_pickled_without_errors():
    result = failed_run()
    arrived = pickle.loads(pickle.dumps(result))
    assert arrived == result
    assert arrived.errors == {}


def test_missing_external_asset_names_its_producer(tmp_path):
    outside = rs.Asset.external(name="outside", io_handler=rs.PickleIOHandler(tmp_path))
    repo = rs.CodeRepository([outside, rs.Asset(lambda outside: outside, name="inside")], config=False)
    with pytest.raises(rs.exceptions.NotMaterializedError) as loading:
        repo.load_node("outside")
    with pytest.raises(rs.exceptions.ExecutionError) as running:
        repo.materialize()
    for error in (loading.value, running.value.__cause__):
        assert str(error).endswith("It is an external asset; its producer has to write it first.")
        assert str(tmp_path) in str(error)
        assert "Materialize it" not in str(error)
