"""GraphAsset: an asset made of tasks."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from rivers.definitions.asset import Asset
from rivers.definitions.composition import AssetRef, GraphRecording, record

if TYPE_CHECKING:
    from collections.abc import Callable

    from rivers.definitions.field_checks import FieldChecks
    from rivers_core.handler import BaseIOHandler

__all__ = ["GraphAsset"]


class GraphAsset(Asset):
    """What `Asset.from_graph` makes: tasks that are wired together by the body of a function."""

    is_graph: ClassVar[bool] = True
    function: Callable[..., Any]
    node_io_handler: BaseIOHandler | str | None
    """The handler of inner nodes that have none of their own."""

    @classmethod
    def _checked(cls, checks: FieldChecks, options: dict[str, Any]) -> dict[str, Any]:
        handler = checks.io_handler(options["node_io_handler"], "node_io_handler")
        return super()._checked(checks, options) | {"node_io_handler": handler}

    @classmethod
    def define(cls, function: Callable[..., Any] | None, **options: Any) -> GraphAsset:
        """Makes a graph asset, after checking each option."""
        made = super().define(function, **options)
        if made.is_async:
            raise cls._checks(made.name).refuse(
                "its body is `async def`, but it only wires tasks together; make the tasks async."
            )
        return made

    def record(self) -> GraphRecording:
        """Calls the body once and returns what it wires together.

        A parameter without a default is an asset (or resource) of that name; one with a default is the
        default.

        Raises:
            GraphValidationError: If the body does anything but wire tasks together, or fails.
            AssetDefinitionError: If the body asks for a context or its own stored value.
        """
        return self._recording

    @cached_property
    def _recording(self) -> GraphRecording:
        signature = self.signature
        for parameter in (signature.context_parameter, signature.self_parameter):
            if parameter is not None:
                raise self._checks(self.name).refuse(
                    f"its body takes {parameter!r}, but nothing runs in it; give the parameter to a task."
                )
        arguments: dict[str, Any] = {}
        for spec in signature.parameters:
            if spec.is_variadic:
                raise self._checks(self.name).refuse(
                    f"its body takes *{spec.name}; name each asset it needs."
                )
            arguments[spec.name] = spec.default if spec.has_default else AssetRef(spec.name)
        return record(self.name, self.function, arguments)
