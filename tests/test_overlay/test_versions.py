"""Earlier versions behind an overlay: those of the layer that serves the value."""

from __future__ import annotations

import pyarrow as pa
import pytest

from rivers_core import InputContext, OutputContext
from rivers_core.exceptions import VersionNotFoundError
from rivers_delta import DeltaIOHandler
from rivers_memory import InMemoryIOHandler
from rivers_overlay import OverlayIOHandler
from rivers_pickle import PickleIOHandler


@pytest.fixture(params=["pickle", "delta"])
def layers(request, tmp_path):
    if request.param == "delta":
        return [DeltaIOHandler(str(tmp_path / name)) for name in ("top", "base")]
    return [PickleIOHandler(str(tmp_path / name), keep_versions=5) for name in ("top", "base")]


def store(handler, *numbers):
    for number in numbers:
        handler.handle_output(OutputContext("orders"), pa.table({"n": [number]}))


def load(handler, version=None):
    context = InputContext("orders", "report", type_hint=pa.Table, version=version)
    return handler.load_input(context)["n"].to_pylist()[0], context.served_by


def test_versions_are_those_of_the_serving_layer(layers):
    top, base = layers
    overlay, asked = OverlayIOHandler(top=top, base=base), InputContext("orders", "report")
    assert overlay.has_versions
    assert overlay.versions(asked) == []
    store(base, 1, 2)
    in_base = base.versions(asked)
    assert overlay.versions(asked) == in_base
    assert load(overlay, in_base[1].version) == (1, "base")
    store(top, 3, 4)
    in_top = top.versions(asked)
    assert overlay.versions(asked) == in_top
    assert load(overlay, in_top[1].version) == (3, "top")
    with pytest.raises(VersionNotFoundError):
        load(overlay, in_base[0].version)


def test_restore_writes_to_top(layers):
    top, base = layers
    overlay, asked = OverlayIOHandler(top=top, base=base), InputContext("orders", "report")
    store(base, 1, 2)
    overlay.restore(OutputContext("orders"), base.versions(asked)[1].version)
    assert load(overlay) == (1, "top")
    assert load(base)[0] == 2
    store(overlay, 5)
    overlay.restore(OutputContext("orders"), top.versions(asked)[1].version)
    assert load(overlay) == (1, "top")


def test_prune_removes_versions_of_top_only(layers):
    top, base = layers
    overlay, asked = OverlayIOHandler(top=top, base=base), InputContext("orders", "report")
    store(base, 1, 2)
    store(top, 3, 4)
    assert len(overlay.prune(asked, keep=0, dry_run=False)) == 1
    assert len(top.versions(asked)) == 1
    assert len(base.versions(asked)) == 2


def test_overlay_without_versions_in_a_layer_has_none(layers):
    assert not OverlayIOHandler(top=InMemoryIOHandler(), base=layers[1]).has_versions
