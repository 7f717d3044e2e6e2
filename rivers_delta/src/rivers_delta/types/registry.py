"""Which adapter a value or an annotation gets; finding out imports no library."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, Union, get_args, get_origin

import pluggy

from rivers_core.exceptions import PluginLoadError, RiversError
from rivers_delta.types import builtin, hooks
from rivers_delta.types.base import TypeAdapter
from rivers_delta.types.hooks import GROUP, PROJECT, TypeSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LOG: Final = logging.getLogger("rivers.plugins")
_PREFERRED: Final = ("polars.DataFrame", "pandas.DataFrame", "pyarrow.Table")
_STREAM: Final = TypeSpec("arrow.stream", "rivers_delta.types.arrow_streams:StreamAdapter")
PIP_LINE: Final = "pip install 'rivers-delta[polars]' (or [pyarrow], or [pandas])"


class TypeRegistry:
    """Knows every type of table that some package announced.

    Args:
        modules: Further modules with the hook, as `(name, module)`; for tests and notebooks.
        entry_points: Entry points to load instead of those of the installed packages.
    """

    def __init__(
        self, modules: Iterable[tuple[str, Any]] = (), entry_points: Iterable[Any] | None = None
    ) -> None:
        self.broken: dict[str, BaseException] = {}
        self._pm = pluggy.PluginManager(PROJECT)
        self._pm.add_hookspecs(hooks)
        self._pm.register(builtin, "rivers-delta")
        for name, module in modules:
            self._pm.register(module, name)
        for entry in _entry_points() if entry_points is None else entry_points:
            self._load(entry)
        self._specs = self._collect()
        self._by_class: dict[type, TypeSpec | None] = {}
        self._adapters: dict[str, TypeAdapter] = {}

    @property
    def names(self) -> list[str]:
        """The types that can be stored and loaded, by name."""
        return list(self._specs)

    def for_class(self, cls: type) -> TypeSpec | None:
        """The most specific type that a class is, or inherits from.

        Args:
            cls: The class of a value.
        """
        if cls not in self._by_class:
            known = {found: spec for spec in self._specs.values() for found in _imported(spec)}
            spec = next((known[base] for base in cls.__mro__ if base in known), None)
            self._by_class[cls] = spec or (_STREAM if hasattr(cls, "__arrow_c_stream__") else None)
        return self._by_class[cls]

    def for_hint(self, hint: Any) -> TypeSpec | None:
        """The type that an annotation asks for; None if it says nothing, or nothing known.

        Args:
            hint: An annotation; of a union, the first member that is known.
        """
        for cls in _classes(hint):
            spec = self.for_class(cls)
            if spec is not None and spec is not _STREAM and cls in _imported(spec):
                return spec
        return None

    def for_name(self, name: str | None) -> TypeSpec | None:
        """The type of that name, as an event recorded it.

        Args:
            name: Such as `polars.DataFrame`.
        """
        return self._specs.get(name) if name is not None else None

    def installed(self) -> TypeSpec:
        """The type to load when nobody says: of the only library installed, else polars, pandas, pyarrow in turn.

        pandas comes with pyarrow as its means of transport, so it goes before it.

        Raises:
            RiversError: None of them is installed.
        """
        for name in _PREFERRED:
            if all(_is_installed(module) for module in self._specs[name].requires):
                return self._specs[name]
        raise RiversError(f"No library that holds tables is installed. Run: {PIP_LINE}")

    def adapter(self, spec: TypeSpec) -> TypeAdapter:
        """The adapter of a type, imported on first use.

        Args:
            spec: The type.

        Raises:
            PluginLoadError: It cannot be imported, or is no adapter.
        """
        if spec.target not in self._adapters:
            self._adapters[spec.target] = _made(spec)
        return self._adapters[spec.target]

    def can_store(self, hint: Any) -> bool:
        """Whether values of an annotation can be stored, as far as it tells.

        Args:
            hint: An annotation.
        """
        classes = list(_classes(hint))
        return not classes or any(_is_open(cls) or self.for_class(cls) is not None for cls in classes)

    def can_load(self, hint: Any) -> bool:
        """Whether a value of an annotation can be given, as far as it tells.

        Args:
            hint: An annotation; of a dictionary of partitions, its values count.
        """
        classes = list(_classes(hint))
        if not classes or any(_is_open(cls) for cls in classes):
            return True
        if get_origin(hint) is dict:
            return self.can_load(get_args(hint)[1])
        return self.for_hint(hint) is not None

    def _load(self, entry: Any) -> None:
        owner = f"{entry.dist.name}:{entry.name}" if getattr(entry, "dist", None) else entry.name
        try:
            self._pm.register(entry.load(), owner)
        except (Exception, SystemExit) as error:
            self.broken[owner] = error
            _LOG.warning("The types of plugin %s cannot be used: %s: %s", owner, type(error).__name__, error)

    def _collect(self) -> dict[str, TypeSpec]:
        found: dict[str, tuple[str, TypeSpec]] = {}
        for owner, spec in self._announced():
            other = found.setdefault(spec.type_name, (owner, spec))
            if other[1] is not spec:
                self.broken[owner] = PluginLoadError(
                    f"The type {spec.type_name!r} is announced by {other[0]} and by {owner}; uninstall one."
                )
        return {name: spec for name, (_, spec) in found.items()}

    def _announced(self) -> Iterator[tuple[str, TypeSpec]]:
        for name, plugin in self._pm.list_name_plugin():
            if plugin is None or not hasattr(plugin, "rivers_delta_types"):
                continue
            try:
                yield from ((name, spec) for spec in list(plugin.rivers_delta_types()))
            except Exception as error:
                self.broken[name] = error
                _LOG.warning("The types of plugin %s cannot be used: %s", name, error)


@cache
def get_types() -> TypeRegistry:
    """The types of this process, found once."""
    return TypeRegistry()


def _entry_points() -> Iterable[Any]:
    import importlib_metadata

    return importlib_metadata.entry_points(group=GROUP)


def _made(spec: TypeSpec) -> TypeAdapter:
    module, _, name = spec.target.partition(":")
    try:
        made: object = getattr(importlib.import_module(module), name)()
    except (Exception, SystemExit) as error:
        absent = [one for one in spec.requires if not _is_installed(one)]
        advice = f" Run: pip install {' '.join(absent)}" if absent else ""
        raise PluginLoadError(
            f"The adapter {spec.target!r} for {spec.type_name} cannot be used: {type(error).__name__}: {error}.{advice}"
        ) from error
    if not isinstance(made, TypeAdapter):
        raise PluginLoadError(f"{spec.target!r} is no rivers_delta.TypeAdapter.")
    return made


def _imported(spec: TypeSpec) -> Iterator[type]:
    """The class of a type, if its library is imported; whoever holds a value of it has imported it."""
    for dotted in (spec.type_name, *spec.aliases):
        module_name, _, name = dotted.rpartition(".")
        found = getattr(sys.modules.get(module_name), name, None)
        if isinstance(found, type):
            yield found


def _is_installed(module: str) -> bool:
    name = module.replace("-", "_")
    return sys.modules.get(name) is not None or importlib.util.find_spec(name) is not None


def _classes(hint: Any) -> Iterator[type]:
    """The classes that an annotation names; none if it leaves everything open."""
    origin = get_origin(hint)
    if origin is Annotated:
        yield from _classes(get_args(hint)[0])
    elif origin in (Union, UnionType):
        for member in get_args(hint):
            yield from _classes(member) if member is not type(None) else ()
    elif isinstance(origin, type):
        yield origin
    elif isinstance(hint, type) and hint not in (Any, type(None)):
        yield hint


def _is_open(cls: type) -> bool:
    """Whether a class says too little to decide by it."""
    return cls is object or bool(getattr(cls, "_is_protocol", False))
