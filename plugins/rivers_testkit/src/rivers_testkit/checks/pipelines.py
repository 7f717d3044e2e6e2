"""Pipelines, if the engine is installed: the handler as the store of assets."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from rivers_core import PartitionKey
from rivers_testkit.subject import HandlerChecks, shortened

if TYPE_CHECKING:
    from collections.abc import Callable

    import rivers
    from rivers_core import BaseIOHandler


class PipelineChecks(HandlerChecks):
    """Assets that are stored with the handler."""

    documentation: ClassVar[str] = "pipelines"

    def test_pipeline_stores_and_loads(self, handler: BaseIOHandler) -> None:
        """Store an asset and load it for the next one, in a run of the engine.

        The checks that call the handler directly name the fault: correct those first. If only this one fails, compare
        what the engine passes: annotations as `context.type_hint`, metadata of the asset, a run id.
        """
        rs = engine()
        received: list[Any] = []
        orders = rs.Asset(self._asset("orders", lambda: self.value(1)), **self._options(handler))

        def report(orders: Any) -> int:
            received.append(orders)
            return 1

        with rs.CodeRepository([orders, rs.Asset(report)], config=False) as repo:
            repo.resolve(storage=rs.Storage.memory())
            repo.materialize()
            assert len(received) == 1
            self._expect_loaded(repo, None, self.value(1))

    def test_pipeline_stores_partitions(self, handler: BaseIOHandler) -> None:
        """Store an asset for several partition keys in one run.

        The checks of partitions name the fault: correct those first. The engine passes one key per call, several at
        once with `partition_batches`, and may load them concurrently.
        """
        rs = engine()
        definition = rs.PartitionsDefinition.static_(["a", "b"])

        def make(context: Any) -> Any:
            return self.value(1, context.partition_key)

        body = self._asset("orders", make)
        body.__annotations__["context"] = rs.AssetExecutionContext
        orders = rs.Asset(body, partitions_def=definition, **self._options(handler, ["key"]))
        with rs.CodeRepository([orders], config=False) as repo:
            repo.resolve(storage=rs.Storage.memory())
            repo.materialize(partition_key=PartitionKey.single(["a", "b"]))
            for key in ("a", "b"):
                self._expect_loaded(repo, key, self.value(1, key))

    def test_pipeline_fans_in(self, handler: BaseIOHandler) -> None:
        """Load all partitions of an asset into one parameter of its consumer, as a mapping from keys to values.

        The checks of partitions and threads name the fault: correct those first. For a mapping the engine loads one key
        per call, up to 16 at a time, in threads or awaited, unless `locality` is "process".
        """
        rs = engine()
        keys = [f"key{number}" for number in range(8)]

        def make(context: Any) -> Any:
            return self.value(1, context.partition_key)

        body = self._asset("orders", make)
        body.__annotations__["context"] = rs.AssetExecutionContext
        definition = rs.PartitionsDefinition.static_(keys)
        orders = rs.Asset(body, partitions_def=definition, **self._options(handler, ["key"]))
        received: list[Any] = []

        def report(orders: Any) -> int:
            received.append(orders)
            return 1

        report.__annotations__["orders"] = dict[str, self.value_type]  # type: ignore[name-defined]
        with rs.CodeRepository([orders, rs.Asset(report)], config=False) as repo:
            repo.resolve(storage=rs.Storage.memory())
            repo.materialize(["orders"], partition_key=PartitionKey.single(keys))
            repo.materialize(["report"])
        assert [*received[0]] == keys, f"Loaded {[*received[0]]}."
        for key, loaded in received[0].items():
            assert self.same_value(loaded, self.value(1, key)), f"Partition {key!r}: {shortened(loaded)}."

    def test_pipeline_records_version(self, handler: BaseIOHandler) -> None:
        """Record the handler's data version and metadata in the event of a run.

        Call `context.offer_content_version` on the context that `handle_output` received, before it returns.
        """
        rs = engine()
        offered = self.store(handler, self.value(1), "other").data_version
        orders = rs.Asset(self._asset("orders", lambda: self.value(1)), **self._options(handler))
        with rs.CodeRepository([orders], config=False) as repo:
            repo.resolve(storage=rs.Storage.memory())
            repo.materialize()
            event = repo.storage.get_latest_materialization("orders")
        assert event is not None
        assert event.data_version, "The event has no data version."
        self.claim(offered, "no data version is reported")

    def test_pipeline_reports_failed_write(self, handler: BaseIOHandler) -> None:
        """Fail the run if a value cannot be stored, and record no materialization.

        Raise in `handle_output` if the value is not stored. An error that is logged, or raised later in a thread,
        does not reach the engine.
        """
        rs = engine()
        value = self.make_unstorable()
        try:
            self.store(handler, value, "probe")
        except Exception:
            orders = rs.Asset(self._asset("orders", lambda: value, Any), **self._options(handler))
        else:
            pytest.skip("the handler stores any object")
        with rs.CodeRepository([orders], config=False) as repo:
            repo.resolve(storage=rs.Storage.memory())
            result = repo.materialize(raise_on_error=False)
            assert not result.success
            assert repo.storage.get_latest_materialization("orders") is None

    def _asset(self, name: str, make: Callable[..., Any], hint: Any = None) -> Callable[..., Any]:
        def body(context: Any) -> Any:
            return make(context)

        def body_without_context() -> Any:
            return make()

        function = body if make.__code__.co_varnames[:1] == ("context",) else body_without_context
        function.__name__ = name
        function.__annotations__ = {"return": self.value_type if hint is None else hint}
        return function

    def _options(self, handler: BaseIOHandler, dimensions: list[str] | None = None) -> dict[str, Any]:
        metadata = self.asset_metadata(dimensions or [])
        return {"io_handler": handler, "metadata": None if metadata is None else dict(metadata)}

    def _expect_loaded(self, repo: rivers.CodeRepository, key: str | None, value: Any) -> None:
        partition = None if key is None else PartitionKey(key)
        loaded = repo.load_node("orders", partition_key=partition, type_hint=type(value))
        assert self.same_value(loaded, value), f"Loaded {shortened(loaded)}."


def engine() -> Any:
    """Return the module of the engine; skip if it is not installed."""
    if find_spec("rivers") is None:
        pytest.skip("the engine is not installed; to run them: pip install 'rivers-testkit[pipelines]'")
    import rivers

    return rivers
