"""Observers of runs: hooks of plugins, collected once per run into plain functions.

They are called directly instead of through pluggy, so that a step pays for nothing but the function.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from rivers_core.exceptions import ALWAYS_PROPAGATE
from rivers_core.plugins import OBSERVERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from pluggy import HookCaller, HookImpl, PluginManager

    from rivers_core.plugins import PluginRegistry

_LOG: Final = logging.getLogger("rivers.plugins")


@dataclass(frozen=True, slots=True, repr=False)
class Observers:
    """Observers of a run: for each hook a tuple of functions that take the hook's arguments by position.

    These functions never raise: an error in a plugin is logged to `rivers.plugins` and the run continues.

    Args:
        run_start: Called with `(run_id, step_names, tags)`.
        run_end: Called with `(run_id, success, error)`.
        output_stored: Called with `(context, handler, event)`.
        input_loaded: Called with `(context, handler)`.
        io_failed: Called with `(context, handler, error)`.
    """

    run_start: tuple[Callable[..., None], ...] = ()
    run_end: tuple[Callable[..., None], ...] = ()
    output_stored: tuple[Callable[..., None], ...] = ()
    input_loaded: tuple[Callable[..., None], ...] = ()
    io_failed: tuple[Callable[..., None], ...] = ()

    @classmethod
    def of(cls, registry: PluginRegistry) -> Observers:
        """Return the announced observers of a registry; the same object until plugins or policies change."""
        return _freeze(registry.hooks(OBSERVERS))

    def __repr__(self) -> str:
        counts = ", ".join(f"{name}={len(getattr(self, name))}" for name in sorted(self.__slots__))
        return f"Observers({counts})"


@lru_cache(maxsize=8)
def _freeze(pm: PluginManager) -> Observers:
    """Return the observers in the order in which pluggy would call them."""
    return Observers(
        **{
            name: tuple(_observer(hook, impl) for impl in reversed(hook.get_hookimpls()))
            for name, hook in ((name, getattr(pm.hook, f"rivers_{name}")) for name in Observers.__slots__)
        }
    )


def _observer(hook: HookCaller, impl: HookImpl) -> Callable[..., None]:
    assert hook.spec is not None
    positions = [hook.spec.argnames.index(name) for name in impl.argnames]
    # itemgetter of one position returns the argument itself, of a slice a tuple
    single = slice(positions[0], positions[0] + 1) if positions else slice(0)
    select: Callable[[tuple[Any, ...]], tuple[Any, ...]] = (
        itemgetter(*positions) if len(positions) > 1 else itemgetter(single)
    )
    function, plugin_name = impl.function, impl.plugin_name

    def observe(*arguments: Any) -> None:
        try:
            function(*select(arguments))
        except ALWAYS_PROPAGATE:
            raise
        except BaseException:
            _LOG.exception("Plugin %s raised in %s; the run continues without it.", plugin_name, hook.name)

    return observe
