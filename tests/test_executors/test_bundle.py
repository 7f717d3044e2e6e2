"""Steps that are pickled for other processes."""

from __future__ import annotations

import pickle
import subprocess
import sys
import types

import pytest

import rivers as rs
from rivers.exceptions import RiversError
from rivers.executors.remote.bundle import dumps, is_importable, make_bundle, open_bundle


def bundle_of(*assets, resources=None):
    repo = rs.CodeRepository(list(assets), resources=resources, config=False)
    return make_bundle(repo.graph.steps, resources or {})


def in_another_process(data, expression):
    """Evaluate an expression over the unpickled value in a process without the tests on its path."""
    code = f"import pickle, sys; value = pickle.loads(sys.stdin.buffer.read()); print({expression})"
    result = subprocess.run([sys.executable, "-P", "-c", code], input=data, capture_output=True, check=True)
    return result.stdout.decode().strip()


def test_bundle_rebuilds_local_functions_and_handlers(tmp_path):
    offset = 40
    handler = rs.PickleIOHandler(f"file:{tmp_path}")

    @rs.Asset(io_handler=handler)
    def left() -> int:
        return offset

    @rs.Asset(io_handler=handler)
    def right(left: int) -> int:
        return left + 2

    steps, _ = open_bundle(bundle_of(left, right).data)
    assert steps["right"].function(left=steps["left"].function()) == 42
    assert steps["left"].outputs[0].handler == handler
    assert steps["left"].outputs[0].handler is steps["right"].inputs[0].binding.handler


def test_bundle_contains_used_resources_only():
    asset = rs.Asset(lambda table: table, name="a")
    _, resources = open_bundle(bundle_of(asset, resources={"table": "t", "socket": (x for x in ())}).data)
    assert resources == {"table": "t"}


def test_bundle_leaves_out_steps_that_cannot_be_pickled():
    lock = (x for x in ())
    bundle = bundle_of(rs.Asset(lambda: lock, name="bad"), rs.Asset(lambda: 1, name="good"))
    assert list(open_bundle(bundle.data)[0]) == ["good"]
    assert list(bundle.refused) == ["bad"]
    assert "generator" in bundle.refused["bad"]


def test_bundle_digest_identifies_content():
    first, second = rs.Asset(lambda: 1, name="a"), rs.Asset(lambda: 2, name="a")
    assert bundle_of(first).digest == bundle_of(first).digest
    assert bundle_of(first).digest != bundle_of(second).digest


def test_open_bundle_names_missing_module():
    with pytest.raises(RiversError, match="'nowhere'"):
        open_bundle(b"cnowhere.code\nasset\n.")
    with pytest.raises(RiversError, match="nothing"):
        open_bundle(b"cos.path\nnothing\n.")


def test_module_outside_the_path_is_pickled_by_value():
    module = types.ModuleType("made_up")
    exec("def double(x):\n    return 2 * x\n", vars(module))
    sys.modules["made_up"] = module
    try:
        assert not is_importable("made_up")
        assert in_another_process(dumps(module.double), "value(21)") == "42"
    finally:
        del sys.modules["made_up"]


def test_importable_modules_are_recognized():
    assert is_importable("os")
    assert is_importable("rivers.executors")
    assert is_importable("rivers_core.handler.base")
    assert not is_importable("__main__")
    assert not is_importable("not_imported_anywhere")


def test_dynamic_code_keeps_its_file_name():
    function = pickle.loads(dumps(lambda: 1))
    assert function.__code__.co_filename == __file__
