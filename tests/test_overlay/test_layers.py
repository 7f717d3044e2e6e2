"""Which layer is read, and that only the top is ever changed."""

from __future__ import annotations

import asyncio
import pickle

import pytest

from rivers_core.contexts import InputContext, OutputContext
from rivers_core.exceptions import IntegrityError, NotMaterializedError, RiversError
from rivers_overlay import OverlayIOHandler
from rivers_pickle import PickleIOHandler
from tests.test_overlay.conftest import Batching, Shelf, Waiting, days


def asked(partition=None):
    return InputContext("orders", "report", partition=partition)


def stored(partition=None):
    return OutputContext("orders", partition=partition)


def test_what_the_top_has_is_read_there_and_the_base_is_not_asked(overlay, top, base):
    top.handle_output(stored(), "mine")
    base.handle_output(stored(), "theirs")
    context = asked()
    assert (overlay.load_input(context), context.served_by) == ("mine", "top")
    assert "read" not in base.calls


def test_what_the_top_never_had_is_read_from_the_base(overlay, base):
    base.handle_output(stored(), "theirs")
    context = asked()
    assert (overlay.load_input(context), context.served_by) == ("theirs", "base")


def test_partitions_fall_through_one_by_one(overlay, top, base):
    for day in ("2024-01-01", "2024-01-02"):
        base.handle_output(stored(days(day)), f"theirs {day}")
    top.handle_output(stored(days("2024-01-02")), "mine")
    assert overlay.load_input(asked(days("2024-01-01"))) == "theirs 2024-01-01"
    assert overlay.load_input(asked(days("2024-01-02"))) == "mine"


def test_writing_and_deleting_touch_the_top_alone(overlay, top, base):
    base.handle_output(stored(), "theirs")
    overlay.handle_output(stored(), "mine")
    overlay.delete(asked())
    assert top.calls == ["write", "delete"]
    assert base.calls == ["write"]
    assert overlay.load_input(asked()) == "theirs"


def test_a_value_exists_if_either_layer_has_it(overlay, base):
    assert not overlay.exists(asked())
    base.handle_output(stored(), "theirs")
    assert overlay.exists(asked())


def test_a_damaged_value_of_the_top_is_an_error_and_not_a_reason_to_read_the_base(tmp_path):
    top, base = PickleIOHandler(tmp_path / "home"), PickleIOHandler(tmp_path / "production")
    for layer in (top, base):
        layer.handle_output(stored(), [1, 2, 3])
    damaged = tmp_path / "home" / "orders.pkl"
    damaged.write_bytes(damaged.read_bytes()[:-20] + b"x" * 20)
    with pytest.raises(IntegrityError):
        OverlayIOHandler(top=top, base=base).load_input(asked())


def test_an_error_of_the_base_is_raised_as_it_is(top):
    class Broken(Shelf):
        def load_input(self, context):
            raise ConnectionError("no route")

    with pytest.raises(ConnectionError, match="no route"):
        OverlayIOHandler(top=top, base=Broken(place="production")).load_input(asked())


def test_absence_names_both_places_and_keeps_the_cause(overlay):
    with pytest.raises(NotMaterializedError) as caught:
        overlay.load_input(asked())
    assert "home/orders, else production/orders" in str(caught.value)
    assert "Shelf over Shelf" in str(caught.value)
    assert isinstance(caught.value.__cause__, NotMaterializedError)


def test_the_address_of_a_write_is_that_of_the_top(overlay):
    assert overlay.describe_address(stored()) == "home/orders"
    assert overlay.describe_address(asked()) == "home/orders, else production/orders"


def test_layers_may_be_overlays(top, base):
    middle = Shelf(place="team")
    base.handle_output(stored(), "theirs")
    outer = OverlayIOHandler(top=top, base=OverlayIOHandler(top=middle, base=base))
    assert outer.load_input(asked()) == "theirs"
    middle.handle_output(stored(), "ours")
    assert outer.load_input(asked()) == "ours"


@pytest.mark.parametrize(
    ("top_reach", "base_reach", "reach"),
    [("shared", "shared", "shared"), ("host", "shared", "host"), ("shared", "process", "process")],
)
def test_a_value_reaches_as_far_as_the_narrower_layer(top_reach, base_reach, reach):
    class Top(Shelf):
        locality = top_reach

    class Base(Shelf):
        locality = base_reach

    overlay = OverlayIOHandler(top=Top(place="home"), base=Base(place="production"))
    assert overlay.locality == reach


def test_several_partitions_at_once_only_if_both_layers_can(base):
    batching = Batching(place="home")
    assert not OverlayIOHandler(top=batching, base=base).partition_batches
    assert OverlayIOHandler(top=batching, base=Batching(place="production")).partition_batches


@pytest.mark.parametrize("where", ["top", "base"])
def test_several_partitions_in_one_value_come_from_the_layer_that_has_them(where):
    layers = {"top": Batching(place="home"), "base": Batching(place="production")}
    for day in ("2024-01-01", "2024-01-02"):
        layers[where].handle_output(stored(days(day)), day)
    context = asked(days("2024-01-01", "2024-01-02"))
    assert OverlayIOHandler(**layers).load_input(context) == ["2024-01-01", "2024-01-02"]
    assert context.served_by == where


def test_several_partitions_that_the_layers_share_are_refused_and_not_served_in_part():
    top, base = Batching(place="home"), Batching(place="production")
    top.handle_output(stored(days("2024-01-01")), 1)
    base.handle_output(stored(days("2024-01-02")), 2)
    with pytest.raises(RiversError, match="1 are in the top layer"):
        OverlayIOHandler(top=top, base=base).load_input(asked(days("2024-01-01", "2024-01-02")))


@pytest.mark.parametrize(("top_kind", "base_kind"), [(Waiting, Shelf), (Shelf, Waiting), (Waiting, Waiting)])
def test_an_asynchronous_layer_is_awaited(top_kind, base_kind):
    top, base = top_kind(place="home"), base_kind(place="production")
    overlay = OverlayIOHandler(top=top, base=base)
    assert overlay.is_async_input
    assert overlay.is_async_output is top.is_async_output
    Shelf.handle_output(base, stored(), "theirs")
    context = asked()
    assert asyncio.run(overlay.load_input(context)) == "theirs"
    assert context.served_by == "base"
    Shelf.handle_output(top, stored(), "mine")
    assert asyncio.run(overlay.load_input(context)) == "mine"
    with pytest.raises(NotMaterializedError):
        asyncio.run(overlay.load_input(InputContext("absent", "report")))


def test_a_subclass_knows_its_layers_too(base):
    class Mine(OverlayIOHandler):
        """An overlay with another name."""

    assert Mine(top=Waiting(place="home"), base=base).is_async_output


def test_it_travels_as_configuration(tmp_path):
    overlay = OverlayIOHandler(top=PickleIOHandler(tmp_path / "a"), base=PickleIOHandler(tmp_path / "b"))
    overlay.base.handle_output(stored(), "theirs")
    arrived = pickle.loads(pickle.dumps(overlay))
    assert arrived == overlay
    assert arrived.load_input(asked()) == "theirs"


def test_types_and_options_are_checked_against_the_layers():
    class Picky(Shelf):
        @classmethod
        def accepts_type(cls, hint):
            return hint is int

        @classmethod
        def can_load_type(cls, hint):
            return hint is int

        @classmethod
        def check_options(cls, metadata):
            return ["no such option: picky/x"] if "picky/x" in metadata else []

    picky, shelf = Picky(place="home"), Shelf(place="production")
    above, below = OverlayIOHandler(top=picky, base=shelf), OverlayIOHandler(top=shelf, base=picky)
    assert (above.accepts_type(str), below.accepts_type(str)) == (False, True)
    assert (above.can_load_type(str), below.can_load_type(str)) == (False, False)
    assert above.check_options({"picky/x": 1}) == ["no such option: picky/x"]


def test_a_layer_that_is_no_handler_is_refused(top):
    with pytest.raises(ValueError, match="base"):
        OverlayIOHandler(top=top, base="production")
