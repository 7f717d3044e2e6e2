from __future__ import annotations

import pickle
import sys

import pytest

from rivers_core import PartitionKey
from rivers_core.authoring import register_former_module


@pytest.fixture
def former(monkeypatch):
    """A former module that only pickles name."""
    name = "rivers_core.former"
    monkeypatch.setitem(sys.modules, name, None)
    register_former_module(name, {"rivers_core.partitions": ["PartitionKey"]})
    return name


def test_register_former_module_resolves_pickles(former):
    single = f"c{former}\nPartitionKey\n(S'a'\ntR.".encode()
    assert pickle.loads(single) == PartitionKey.single("a")


def test_register_former_module_reports_unknown_name(former):
    with pytest.raises(AttributeError, match="'storage_key'"):
        pickle.loads(f"c{former}\nstorage_key\n.".encode())
