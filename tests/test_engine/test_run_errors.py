"""The errors of a run that went on after a failure."""

from __future__ import annotations

import pickle

import rivers as rs


def failed_run():
    @rs.Asset
    def bad() -> int:
        raise ValueError("no such number")

    @rs.Asset
    def good() -> int:
        return 1

    return rs.CodeRepository([bad, good], config=False).materialize(raise_on_error=False)


def test_a_result_has_the_error_of_each_failure_with_its_traceback():
    result = failed_run()
    error = result.errors["bad"]
    assert isinstance(error, ValueError)
    assert error.__traceback__ is not None
    assert list(result.errors) == [name for name, _ in result.failed_assets]


def test_a_pickled_result_is_equal_and_arrives_without_the_errors():
    result = failed_run()
    arrived = pickle.loads(pickle.dumps(result))
    assert arrived == result
    assert arrived.errors == {}
