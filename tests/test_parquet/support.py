"""Storing and loading with a Parquet handler, in few words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rivers_core import InputContext, OutputContext, PartitionContext, PartitionKey
from rivers_parquet import ParquetIOHandler

if TYPE_CHECKING:
    from pathlib import Path


class Tables:
    """A handler on a folder or URL, and the contexts of a test."""

    def __init__(self, store: Any, **settings: Any) -> None:
        self.store_address = store
        self.handler = ParquetIOHandler(store, **settings)

    def store(self, value: Any, name: str = "asset", *, keys: Any = None, **options: Any) -> OutputContext:
        context = OutputContext(name, _metadata(options), _partition(keys))
        self.handler.handle_output(context, value)
        return context

    def load(self, hint: Any = None, name: str = "asset", *, keys: Any = None, **options: Any) -> Any:
        return self.handler.load_input(self.asked(hint, name, keys=keys, **options))

    def asked(
        self, hint: Any = None, name: str = "asset", *, keys: Any = None, **options: Any
    ) -> InputContext:
        return InputContext(name, "next", _metadata(options), _partition(keys), hint)

    def file(self, name: str = "asset.parquet") -> Path:
        path: Path = self.store_address / name
        return path


def facts(context: OutputContext) -> dict[str, Any]:
    """The metadata of a write, plain."""
    assert context.output_metadata is not None
    return {name: value.raw_value() for name, value in context.output_metadata.items()}


def _metadata(options: dict[str, Any]) -> dict[str, Any] | None:
    return {f"parquet/{name}": value for name, value in options.items()} or None


def _partition(keys: Any) -> PartitionContext | None:
    if keys is None:
        return None
    return PartitionContext([PartitionKey(key) for key in (keys if isinstance(keys, list) else [keys])])
