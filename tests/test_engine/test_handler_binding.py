"""Binding of assets to handlers."""

from __future__ import annotations

import pytest

import rivers as rs
from rivers_core.hooks import hookimpl
from rivers_core.plugins import get_registry


@pytest.fixture
def plugin():
    """Register hook implementations of this process for one test."""
    registry = get_registry()
    names = []

    def register(**functions):
        class Plugin:
            pass

        module = Plugin()
        for name, function in functions.items():
            setattr(module, name, hookimpl(function))
        registry.register(module, f"test-{len(names)}")
        names.append(f"test-{len(names)}")

    yield register
    for name in names:
        registry.unregister(name)


def test_handler_instance_takes_precedence(repository, diary):
    repo = repository(rs.Asset(lambda: 1, name="a", io_handler=diary))
    assert repo.io_handler_for_output("a") is diary
    assert repo.handler_binding("a").reason == "given on the asset"


def test_handler_name_resolves_to_resource_first(repository, diary):
    repo = repository(
        rs.Asset(lambda: 1, name="a", io_handler="memory"),
        rs.Asset(lambda: 1, name="b", io_handler="lake"),
        resources={"memory": diary, "lake": diary},
    )
    assert repo.io_handler_for_output("a") is diary
    assert repo.io_handler_for_output("b") is diary


def test_multi_asset_output_uses_own_handler(repository, diary):
    another = type(diary)()

    @rs.Asset.from_multi(
        output_defs=[rs.AssetDef("x", io_handler=another), rs.AssetDef("y")], io_handler=diary
    )
    def both():
        return {"x": 1, "y": 2}

    repo = repository(both)
    assert (repo.io_handler_for_output("x"), repo.io_handler_for_output("y")) == (another, diary)


def test_plugin_selects_default_handler(repository, diary, plugin):
    def rivers_default_io_handler(asset_name):
        return diary if asset_name == "a" else None

    plugin(rivers_default_io_handler=rivers_default_io_handler)
    repo = repository(rs.Asset(lambda: 1, name="a"), rs.Asset(lambda: 1, name="b"))
    assert repo.io_handler_for_output("a") is diary
    assert repo.handler_binding("b").label == "memory"


def test_plugin_wraps_handler(repository, diary, plugin):
    class Doubling(rs.BaseIOHandler):
        inner: rs.BaseIOHandler

        def handle_output(self, context, obj):
            self.inner.handle_output(context, 2 * obj)

        def load_input(self, context):
            return self.inner.load_input(context)

    plugin(rivers_wrap_io_handler=lambda handler, asset_name: Doubling(inner=handler))
    repo = repository(rs.Asset(lambda: 4, name="a", io_handler=diary))
    repo.materialize()
    assert diary.values == {"a": 8}


def test_handler_with_swapped_arguments_is_rejected(repository, diary, plugin):
    class Swapped(rs.BaseIOHandler):
        def handle_output(self, obj, context): ...

        def load_input(self, context): ...

    with pytest.raises(
        rs.exceptions.GraphValidationError, match=r"asset 'a'.*Swapped\.handle_output\(self, obj"
    ):
        repository(rs.Asset(lambda: 4, name="a", io_handler=Swapped())).validate()
    plugin(rivers_wrap_io_handler=lambda asset_name: Swapped() if asset_name == "b" else None)
    with pytest.raises(
        rs.exceptions.GraphValidationError, match=r"asset 'b'.*Swapped\.handle_output\(self, obj"
    ):
        repository(*(rs.Asset(lambda: 4, name=name, io_handler=diary) for name in "ab")).validate()


def test_duck_typed_handler_is_rejected():
    class Quacks:
        def handle_output(self, context, obj): ...

        def load_input(self, context): ...

    with pytest.raises(rs.exceptions.AssetDefinitionError, match="BaseIOHandler"):
        rs.Asset(lambda: 1, name="a", io_handler=Quacks())


def test_override_replaces_all_handlers(repository, diary):
    class Unreachable(rs.BaseIOHandler):
        def handle_output(self, context, obj):
            raise AssertionError

        def load_input(self, context):
            raise AssertionError

    @rs.Asset(io_handler=Unreachable())
    def a() -> int:
        return 1

    @rs.Asset(io_handler="memory")
    def b(a: int) -> int:
        return a + 1

    original = repository(a, b)
    tested = original.override(io_handler=diary)
    tested.materialize()
    assert diary.values == {"a": 1, "b": 2}
    assert isinstance(original.io_handler_for_output("a"), Unreachable)


def test_unknown_node_suggests_nearest(repository):
    repo = repository(rs.Asset(lambda: 1, name="orders"))
    with pytest.raises(rs.exceptions.NodeNotFoundError, match="Did you mean 'orders'"):
        repo.io_handler_for_output("order")


def test_observer_errors_do_not_break_run(repository, diary, plugin):
    seen = []

    def rivers_run_start(run_id, step_names, tags):
        seen.append(("start", step_names, tags))

    def rivers_output_stored(context, event):
        seen.append(("stored", context.asset_name, event.event_type))
        raise RuntimeError("an observer's own trouble")

    def rivers_input_loaded(context):
        seen.append(("loaded", context.asset_name, context.downstream_asset))

    def rivers_run_end(run_id, success, error):
        seen.append(("end", success, error))

    plugin(
        rivers_run_start=rivers_run_start,
        rivers_output_stored=rivers_output_stored,
        rivers_input_loaded=rivers_input_loaded,
        rivers_run_end=rivers_run_end,
    )

    @rs.Asset(io_handler=diary)
    def a() -> int:
        return 1

    @rs.Asset(io_handler=diary)
    def b(a: int) -> int:
        return a

    assert repository(a, b).materialize(tags=[("k", "v")]).success
    assert seen == [
        ("start", ["a", "b"], (("k", "v"),)),
        ("stored", "a", "Materialization"),
        ("loaded", "a", "b"),
        ("stored", "b", "Materialization"),
        ("end", True, None),
    ]


def test_observer_reports_failed_io(repository, plugin):
    seen = []
    plugin(rivers_io_failed=lambda context, error: seen.append((context.asset_name, str(error))))

    class Full(rs.BaseIOHandler):
        def handle_output(self, context, obj):
            raise OSError("disk full")

        def load_input(self, context):
            raise AssertionError

    repository(rs.Asset(lambda: 1, name="a", io_handler=Full())).materialize(raise_on_error=False)
    assert seen == [("a", "disk full")]
