"""Paths of objects in the store."""

from __future__ import annotations

from itertools import product

import pytest
from pydantic import ValidationError

from rivers_pickle import PickleIOHandler

NAMES = [
    "a",
    "a.pkl",
    "a.pkl.pkl",
    "A.PKL",
    ".pkl",
    "a%2Epkl",
    "%2Epkl",
    "a/b",
    "pkl",
    "data.pkl",
    "a~",
    "x#1",
]
KEYS = [None, "a", "data.pkl", "data", "x=1", {"x": "1"}, {"x": "1", "y": "2"}, "..", "a/b"]


def test_object_path_keeps_ordinary_names(lake):
    lake.store(1, "orders")
    lake.store(1, "orders", "2024-01-01")
    lake.store(1, "sales", {"region": "us", "env": "prod"})
    assert lake.files() == ["orders.pkl", "orders/2024-01-01/data.pkl", "sales/env=prod/region=us/data.pkl"]


def test_object_path_starts_with_prefix(tmp_path):
    handler = PickleIOHandler(tmp_path, prefix="/team//scratch/")
    assert handler.prefix == "team/scratch"


@pytest.mark.parametrize("prefix", ["..", "a/../b", "./a"])
def test_prefix_cannot_leave_store(tmp_path, prefix):
    with pytest.raises(ValidationError, match="plain path below the store"):
        PickleIOHandler(tmp_path, prefix=prefix)


def test_object_paths_never_collide(lake):
    for number, (name, key) in enumerate(product(NAMES, KEYS)):
        lake.store(number, name, key)
    for number, (name, key) in enumerate(product(NAMES, KEYS)):
        assert lake.load(name, key) == number
    assert len({file.lower() for file in lake.files()}) == len(NAMES) * len(KEYS)
