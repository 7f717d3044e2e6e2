"""ExternalAsset: an asset that somebody else stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, overload

from rivers.definitions.asset import Asset
from rivers.definitions.composition import current_recorder
from rivers.definitions.definition import Decorator

if TYPE_CHECKING:
    from collections.abc import Callable

    from rivers.definitions.field_checks import FieldChecks

__all__ = ["ExternalAsset"]


class ExternalAsset(Asset):
    """What `Asset.external` makes: never run, loaded through its handler, observed by its function if it has one."""

    is_external: ClassVar[bool] = True
    _options: dict[str, Any] | None

    @property
    def observe_fn(self) -> Callable[..., Any] | None:
        """The function that observes it; None if there is none."""
        return self.function

    @classmethod
    def declare(cls, function: Callable[..., Any] | None, **options: Any) -> Any:
        """Makes an external asset, which without a function may still become the decorator of one.

        Without a name either it has to, since only the function can give it one.
        """
        if function is None and options["name"] is None:
            cls._checked(cls._checks("?"), options)
            return Decorator("Asset.external", lambda function: cls.declare(function, **options))
        made = cls.define(function, **options)
        made.__dict__["_options"] = options if function is None else None
        return made

    @classmethod
    def _checked(cls, checks: FieldChecks, options: dict[str, Any]) -> dict[str, Any]:
        if options["io_handler"] is None:
            raise checks.refuse(
                "somebody else stores it, so it cannot do without a handler to load it; write io_handler=..."
            )
        return super()._checked(checks, options)

    @overload
    def __call__(self, function: Callable[..., Any], /) -> ExternalAsset: ...
    @overload
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Takes the observing function when used as a decorator; calls it afterwards."""
        options = None if current_recorder() is not None else self._options
        if options is not None and len(args) == 1 and not kwargs and callable(args[0]):
            return self.declare(args[0], **options)
        return super().__call__(*args, **kwargs)
