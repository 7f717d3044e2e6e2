"""MultiAsset: one function, several outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rivers.definitions.asset import Asset
from rivers.definitions.asset_def import AssetDef

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rivers.definitions.field_checks import FieldChecks

__all__ = ["MultiAsset"]


class MultiAsset(Asset):
    """What `Asset.from_multi` makes: one function with several outputs."""

    is_multi: ClassVar[bool] = True
    function: Callable[..., Any]
    output_defs: list[AssetDef]
    """One for each output, in the order given."""

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs, in the order given."""
        return [output.name for output in self.output_defs]

    @classmethod
    def _checked(cls, checks: FieldChecks, options: dict[str, Any]) -> dict[str, Any]:
        return super()._checked(checks, options) | {"output_defs": _outputs(checks, options["output_defs"])}


def _outputs(checks: FieldChecks, given: Iterable[AssetDef] | AssetDef) -> list[AssetDef]:
    outputs: list[AssetDef] = [given] if isinstance(given, AssetDef) else list(given or ())
    if not outputs:
        raise checks.refuse('it has no outputs; write output_defs=[AssetDef("first"), AssetDef("second")].')
    seen: dict[str, str] = {}
    for output in outputs:
        if not isinstance(output, AssetDef):
            raise checks.refuse(f"output_defs: {output!r} is no AssetDef; write AssetDef({output!r}).")
        other = seen.get(output.name.casefold())
        if other is not None:
            problem = "twice" if other == output.name else f"and {other!r}, which differ only in case"
            raise checks.refuse(f"output_defs names {output.name!r} {problem}; give each a name of its own.")
        seen[output.name.casefold()] = output.name
    return outputs
