"""Helpers that store and load with a Delta handler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deltalake import DeltaTable

from rivers_core import InputContext, OutputContext, PartitionContext, PartitionKey
from rivers_delta import DeltaIOHandler
from rivers_delta.log.table import open_table

if TYPE_CHECKING:
    from pathlib import Path

    from rivers_delta.log.table import Table


class Lake:
    """A handler on a folder, and the contexts of a test."""

    def __init__(self, root: Path | str, **settings: Any) -> None:
        self.handler = DeltaIOHandler(table_uri=str(root), **settings)

    def store(
        self, value: Any, name: str = "asset", *, keys: Any = None, definition: Any = None,
        run_id: str | None = None, **options: Any,
    ) -> OutputContext:  # fmt: skip
        context = self.output(value, name, keys=keys, definition=definition, run_id=run_id, **options)
        self.handler.handle_output(context, value)
        return context

    def output(
        self, value: Any, name: str = "asset", *, keys: Any = None, definition: Any = None,
        run_id: str | None = None, **options: Any,
    ) -> OutputContext:  # fmt: skip
        return OutputContext(
            name, _metadata(options), _partition(keys, definition), type_hint=type(value), run_id=run_id
        )

    def load(self, hint: Any = None, name: str = "asset", **asked: Any) -> Any:
        return self.handler.load_input(self.asked(hint, name, **asked))

    def asked(
        self, hint: Any = None, name: str = "asset", *, keys: Any = None, definition: Any = None,
        upstream: Any = None, **options: Any,
    ) -> InputContext:  # fmt: skip
        return InputContext(
            name, "next", _metadata(options), _partition(keys, definition), hint, upstream=upstream
        )

    def open(self, name: str = "asset", version: int | None = None) -> Table | None:
        """Open the table as the handler does."""
        return open_table(self.handler._settings(self.asked(name=name)), version)

    def table(self, name: str = "asset") -> DeltaTable:
        return DeltaTable(
            self.handler.address(name, None), storage_options=self.handler.plain_storage_options()
        )


def facts(context: OutputContext) -> dict[str, Any]:
    """Return the metadata of a write as plain values, without the prefix `delta/`."""
    assert context.output_metadata is not None
    return {name.removeprefix("delta/"): value.raw_value() for name, value in context.output_metadata.items()}


def _metadata(options: dict[str, Any]) -> dict[str, Any]:
    return {f"delta/{name}": value for name, value in options.items()}


def _partition(keys: Any, definition: Any) -> PartitionContext | None:
    if keys is None:
        return None
    given = keys if isinstance(keys, list) and isinstance(keys[0], PartitionKey) else [PartitionKey(keys)]
    return PartitionContext(given, definition)
