"""Reads and writes of the two layers."""

from __future__ import annotations

import asyncio
import pickle

import pytest

from rivers_core.contexts import InputContext, OutputContext
from rivers_core.exceptions import IntegrityError, NotMaterializedError, RiversError
from rivers_overlay import OverlayIOHandler
from rivers_pickle import PickleIOHandler
from tests.test_overlay.conftest import Shelf, Waiting, days


def asked(partition=None, asset="orders"):
    return InputContext(asset, "report", partition=partition)


def stored(partition=None, asset="orders"):
    return OutputContext(asset, partition=partition)


class Files(Shelf):
    """Says that nothing is stored in the words of the standard library, also when asked."""

    def load_input(self, context):
        try:
            return super().load_input(context)
        except NotMaterializedError:
            raise FileNotFoundError(f"{self.place}/{context.storage_key}") from None

    def exists(self, context):
        self.load_input(context)
        return True


def test_load_reads_top_without_calling_base(overlay, top, base):
    top.handle_output(stored(), "mine")
    base.handle_output(stored(), "theirs")
    context = asked()
    assert (overlay.load_input(context), context.served_by) == ("mine", "top")
    assert "read" not in base.calls


def test_load_falls_through_to_base(overlay, base):
    base.handle_output(stored(), "theirs")
    context = asked()
    assert (overlay.load_input(context), context.served_by) == ("theirs", "base")


def test_load_falls_through_per_partition(overlay, top, base):
    for day in ("2024-01-01", "2024-01-02"):
        base.handle_output(stored(days(day)), f"theirs {day}")
    top.handle_output(stored(days("2024-01-02")), "mine")
    assert overlay.load_input(asked(days("2024-01-01"))) == "theirs 2024-01-01"
    assert overlay.load_input(asked(days("2024-01-02"))) == "mine"


def test_load_falls_through_on_file_not_found(base):
    overlay = OverlayIOHandler(top=Files(place="home"), base=base)
    assert not overlay.exists(asked())
    base.handle_output(stored(), "theirs")
    assert overlay.load_input(asked()) == "theirs"
    assert overlay.exists(asked())
    overlay = OverlayIOHandler(top=Files(place="home"), base=Files(place="production"))
    with pytest.raises(NotMaterializedError) as caught:
        overlay.load_input(asked(days("2024-01-01")))
    assert caught.value.partition == "2024-01-01"


def test_verify_reads_each_layer_that_has_the_value(overlay, top, base):
    with pytest.raises(NotMaterializedError):
        overlay.verify(asked())
    base.handle_output(stored(), "theirs")
    overlay.verify(asked())
    top.handle_output(stored(), "mine")
    overlay.verify(asked())
    assert (top.calls.count("read"), base.calls.count("read")) == (1, 2)


def test_verify_finds_damage_in_base(tmp_path):
    top, base = (PickleIOHandler(store=f"file:{tmp_path / name}") for name in ("top", "base"))
    overlay = OverlayIOHandler(top=top, base=base)
    base.handle_output(stored(), "theirs")
    top.handle_output(stored(), "mine")
    assert overlay.verify(asked())["digests"] == 2
    (path,) = (tmp_path / "base").rglob("*.pkl")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(IntegrityError):
        overlay.verify(asked())


def test_store_does_not_call_base(top):
    class Sealed(Shelf):
        def __getattribute__(self, name):
            if name in {"handle_output", "load_input", "exists", "delete", "describe_address"}:
                raise AssertionError(f"the base was asked for {name}")
            return super().__getattribute__(name)

    overlay = OverlayIOHandler(top=top, base=Sealed(place="production"))
    overlay.handle_output(stored(), "mine")
    assert overlay.load_input(asked()) == "mine"
    assert overlay.describe_address(stored()) == "home/orders"


def test_delete_removes_top_only(overlay, top, base):
    base.handle_output(stored(), "theirs")
    overlay.handle_output(stored(), "mine")
    overlay.delete(asked())
    assert top.calls == ["write", "delete"]
    assert base.calls == ["write"]
    assert overlay.load_input(asked()) == "theirs"


def test_delete_refuses_value_of_base(overlay, top, base):
    for day in ("2024-01-01", "2024-01-02"):
        base.handle_output(stored(days(day)), "theirs")
    top.handle_output(stored(days("2024-01-01")), "mine")
    with pytest.raises(
        RiversError, match=r"partition '2024-01-02' of asset 'orders'.* 'production/orders/2024"
    ):
        overlay.delete(asked(days("2024-01-01", "2024-01-02")))
    assert "delete" not in top.calls + base.calls
    assert overlay.load_input(asked(days("2024-01-01"))) == "mine"


def test_delete_of_absent_value_is_left_to_top(overlay, top):
    overlay.delete(asked())
    assert top.calls == ["delete"]


def test_store_reports_metadata_and_version_of_top(tmp_path):
    alone, context = stored(), stored()
    PickleIOHandler(tmp_path / "alone").handle_output(alone, [1, 2])
    pair = OverlayIOHandler(top=PickleIOHandler(tmp_path / "a"), base=PickleIOHandler(tmp_path / "b"))
    pair.handle_output(context, [1, 2])
    assert context.data_version == alone.data_version is not None
    assert context.output_metadata.keys() == alone.output_metadata.keys()
    assert not (tmp_path / "b").exists()


def test_exists_if_either_layer_has_value(overlay, base):
    assert not overlay.exists(asked())
    base.handle_output(stored(), "theirs")
    assert overlay.exists(asked())


def test_load_raises_for_damaged_top_value(tmp_path):
    top, base = PickleIOHandler(tmp_path / "home"), PickleIOHandler(tmp_path / "production")
    for layer in (top, base):
        layer.handle_output(stored(), [1, 2, 3])
    damaged = tmp_path / "home" / "orders.pkl"
    damaged.write_bytes(damaged.read_bytes()[:-20] + b"x" * 20)
    overlay, context = OverlayIOHandler(top=top, base=base), asked()
    with pytest.raises(IntegrityError):
        overlay.load_input(context)
    assert context.served_by is None


@pytest.mark.parametrize("kind", [OSError, PermissionError, KeyError, StopIteration, RiversError])
def test_load_raises_other_errors_of_top(base, kind):
    class Broken(Shelf):
        def load_input(self, context):
            raise kind("broken")

    base.handle_output(stored(), "theirs")
    with pytest.raises((kind, RuntimeError), match="broken|StopIteration"):
        OverlayIOHandler(top=Broken(place="home"), base=base).load_input(asked())


def test_load_raises_errors_of_base_unchanged(top):
    class Broken(Shelf):
        def load_input(self, context):
            raise ConnectionError("no route")

    with pytest.raises(ConnectionError, match="no route"):
        OverlayIOHandler(top=top, base=Broken(place="production")).load_input(asked())


def test_not_materialized_names_both_addresses(overlay):
    with pytest.raises(NotMaterializedError) as caught:
        overlay.load_input(asked())
    assert "home/orders, else production/orders" in str(caught.value)
    assert "Shelf over Shelf" in str(caught.value)
    assert isinstance(caught.value.__cause__, NotMaterializedError)


def test_describe_address_of_write_is_top(overlay):
    assert overlay.describe_address(stored()) == "home/orders"
    assert overlay.describe_address(asked()) == "home/orders, else production/orders"


def test_load_through_nested_overlays(top, base):
    middle = Shelf(place="team")
    base.handle_output(stored(), "theirs")
    outer = OverlayIOHandler(top=top, base=OverlayIOHandler(top=middle, base=base))
    assert outer.load_input(asked()) == "theirs"
    middle.handle_output(stored(), "ours")
    context = asked()
    assert (outer.load_input(context), context.served_by) == ("ours", "base/top")
    outer.handle_output(stored(), "mine")
    assert (outer.load_input(context), context.served_by) == ("mine", "top")
    outer.delete(asked())
    middle.delete(asked())
    assert (outer.load_input(context), context.served_by) == ("theirs", "base/base")
    assert outer.storing_handler() is top
    assert middle.calls.count("write") == 1
    with pytest.raises(
        NotMaterializedError, match="home/absent, else team/absent, else production/absent"
    ) as caught:
        outer.load_input(asked(asset="absent"))
    assert caught.value.handler == "Shelf over Shelf over Shelf"


def test_load_logs_serving_layer(overlay, base, caplog):
    base.handle_output(stored(days("2024-01-01")), "theirs")
    overlay.load_input(asked(days("2024-01-01")))
    assert caplog.messages == []
    with caplog.at_level("DEBUG", "rivers.handlers.orders"):
        overlay.load_input(asked(days("2024-01-01")))
    assert caplog.messages == [
        "orders [2024-01-01] is served by the base layer: production/orders/2024-01-01"
    ]


@pytest.mark.parametrize(
    ("top_reach", "base_reach", "reach"),
    [("shared", "shared", "shared"), ("host", "shared", "host"), ("shared", "process", "process")],
)
def test_locality_is_narrower_of_layers(top_reach, base_reach, reach):
    class Top(Shelf):
        locality = top_reach

    class Base(Shelf):
        locality = base_reach

    overlay = OverlayIOHandler(top=Top(place="home"), base=Base(place="production"))
    assert overlay.locality == reach


@pytest.mark.parametrize(("top_kind", "base_kind"), [(Waiting, Shelf), (Shelf, Waiting), (Waiting, Waiting)])
def test_load_awaits_async_layer(top_kind, base_kind):
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
        asyncio.run(overlay.load_input(asked(asset="absent")))
    assert overlay.exists(asked())
    overlay.delete(asked())
    assert asyncio.run(overlay.load_input(asked())) == "theirs"


def test_sync_layers_need_no_event_loop(overlay, base):
    base.handle_output(stored(), "theirs")
    assert (overlay.is_async_input, overlay.is_async_output) == (False, False)

    async def within_a_loop():
        return overlay.load_input(asked())

    assert overlay.load_input(asked()) == asyncio.run(within_a_loop()) == "theirs"


def test_nested_overlay_reports_async_layers(top, base):
    class Named(OverlayIOHandler):
        """An overlay with another name."""

    inner = Named(top=Waiting(place="team"), base=base)
    outer = Named(top=top, base=inner)
    assert (outer.is_async_input, outer.is_async_output, inner.is_async_output) == (True, False, True)
    base.handle_output(stored(), "theirs")
    assert asyncio.run(outer.load_input(asked())) == "theirs"


def test_subclass_reports_async_layers(base):
    class Mine(OverlayIOHandler):
        """An overlay with another name."""

    assert Mine(top=Waiting(place="home"), base=base).is_async_output


def test_overlay_pickles_as_configuration(tmp_path):
    overlay = OverlayIOHandler(top=PickleIOHandler(tmp_path / "a"), base=PickleIOHandler(tmp_path / "b"))
    overlay.base.handle_output(stored(), "theirs")
    arrived = pickle.loads(pickle.dumps(overlay))
    assert arrived == overlay
    assert arrived.load_input(asked()) == "theirs"


def test_types_and_options_are_checked_by_layers():
    class Picky(Shelf):
        def accepts_type(self, hint):
            return hint is int

        def can_load_type(self, hint):
            return hint is int

        def check_options(self, metadata):
            return ["no such option: picky/x"] if "picky/x" in metadata else []

    picky, shelf = Picky(place="home"), Shelf(place="production")
    above, below = OverlayIOHandler(top=picky, base=shelf), OverlayIOHandler(top=shelf, base=picky)
    assert (above.accepts_type(str), below.accepts_type(str)) == (False, True)
    assert (above.can_load_type(str), below.can_load_type(str)) == (False, False)
    assert above.check_options({"picky/x": 1}) == ["no such option: picky/x"]
    both = OverlayIOHandler(top=picky, base=Picky(place="production"))
    assert both.check_options({"picky/x": 1}) == ["no such option: picky/x"]
    assert both.check_options({"other/x": 1}) == []


def test_storage_location_is_that_of_top(top, base):
    class Located(Shelf):
        def storage_location(self, asset_name, asset_metadata):
            return f"{self.place}/{(asset_metadata or {}).get('root', asset_name)}"

    overlay = OverlayIOHandler(top=Located(place="home"), base=Located(place="production"))
    assert overlay.storage_location("orders", {"root": "x"}) == "home/x"
    assert overlay.storing_handler() is overlay.top


@pytest.mark.parametrize("wrong", ["production", {"store": "x"}, None, Shelf])
def test_overlay_rejects_layer_that_is_not_a_handler(top, wrong):
    with pytest.raises(ValueError, match="base\n.*a layer must be an IO handler"):
        OverlayIOHandler(top=top, base=wrong)


def test_overlay_rejects_top_that_writes_into_base(top, base, tmp_path):
    here = [PickleIOHandler(tmp_path / "a"), PickleIOHandler(tmp_path / "a")]
    with pytest.raises(ValueError, match="also in the base, which must never be written to"):
        OverlayIOHandler(top=here[0], base=here[1])
    inner = OverlayIOHandler(top=top, base=base)
    with pytest.raises(ValueError, match="also in the base"):
        OverlayIOHandler(top=base, base=inner)
    OverlayIOHandler(top=here[0], base=PickleIOHandler(tmp_path / "a", prefix="mine"))


def test_overlay_ignores_environment(monkeypatch, top, base):
    monkeypatch.setenv("TOP", "x")
    monkeypatch.setenv("RIVERS_OVERLAY_BASE", "x")
    assert OverlayIOHandler(top=top, base=base).base is base


def test_repr_hides_secrets_of_layers(tmp_path):
    secret = "a-very-secret-key"
    signed = PickleIOHandler(tmp_path / "a", signing_key=secret)
    bucket = PickleIOHandler("s3://bucket/x", storage_options={"secret_access_key": secret})
    overlay = OverlayIOHandler(top=signed, base=bucket)
    shown = [repr(overlay), str(overlay), repr(overlay.model_dump()), overlay.model_dump_json()]
    shown += [str(overlay.describe_address(asked()))]
    assert secret not in "".join(shown)
    assert "PickleIOHandler" in shown[0]
    assert pickle.loads(pickle.dumps(overlay)).top.signing_key.get_secret_value() == secret


def test_overlays_are_equal_if_layers_are(tmp_path):
    def overlay(name):
        return OverlayIOHandler(top=PickleIOHandler(tmp_path / name), base=PickleIOHandler(tmp_path / "b"))

    assert overlay("a") == overlay("a")
    assert overlay("a") != overlay("c")
    assert hash(overlay("a")) == hash(overlay("a"))


def test_layers_are_frozen(overlay, top):
    with pytest.raises(ValueError, match="frozen"):
        overlay.base = top
