"""Registry of frame types: maps classes, annotations and recorded names to adapters without importing a library."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

import pluggy

from rivers_core import get_registry
from rivers_core.authoring import did_you_mean, hint_classes, mapping_hint
from rivers_core.exceptions import (
    AssetOutputValidationError,
    ConfigurationError,
    PluginLoadError,
    RiversError,
)
from rivers_frames import forks as forks  # marks polars when this process forks, also before it is used here
from rivers_frames.adapter import Frame, FrameAdapter
from rivers_frames.hooks import GROUP, PROJECT, FrameTypeSpec, builtin_types, rivers_frame_types

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_LOG: Final = logging.getLogger("rivers.plugins")
_PREFERRED: Final = ("polars.DataFrame", "pandas.DataFrame", "pyarrow.Table")
_STREAM: Final = FrameTypeSpec("arrow.stream", f"{__package__}.arrow_streams:StreamAdapter")


class FrameTypeRegistry:
    """Registry of all frame types that installed packages announce.

    Args:
        modules: Further modules that implement `rivers_frame_types`, as `(name, module)`; for tests and notebooks.
        entry_points: Entry points to load instead of those of installed packages.
    """

    def __init__(
        self, modules: Iterable[tuple[str, Any]] = (), entry_points: Iterable[Any] | None = None
    ) -> None:
        self.broken: dict[str, BaseException] = {}
        self._specs: dict[str, FrameTypeSpec] = {}
        self._owners: dict[str, str] = {}
        self._by_class: dict[type, FrameTypeSpec | None] = {}
        self._adapters: dict[str, FrameAdapter] = {}
        self._register("rivers-frames", builtin_types)
        for name, module in modules:
            self._register(name, partial(_types_of, module))
        for entry in _entry_points() if entry_points is None else entry_points:
            dist = getattr(entry, "dist", None)
            self._register(
                f"{dist.name}:{entry.name}" if dist else entry.name, partial(_announced_types, entry)
            )

    @property
    def names(self) -> list[str]:
        """Names of all types that can be stored and loaded."""
        return list(self._specs)

    def for_class(self, cls: type) -> FrameTypeSpec | None:
        """Return the most specific type of a class, or of its base classes.

        Args:
            cls: The class of a value.
        """
        if cls not in self._by_class:
            known = {imported: spec for spec in self._specs.values() for imported in _imported(spec)}
            spec = next((known[base] for base in cls.__mro__ if base in known), None)
            self._by_class[cls] = spec or (_STREAM if hasattr(cls, "__arrow_c_stream__") else None)
        return self._by_class[cls]

    def for_hint(self, hint: Any) -> FrameTypeSpec | None:
        """Return the type that an annotation names; None if it names no known type.

        Args:
            hint: An annotation; of a union, the first known member counts.
        """
        for cls in hint_classes(hint):
            spec = self.for_class(cls)
            if spec is not None and spec is not _STREAM and cls in _imported(spec):
                return spec
        return None

    def for_name(self, name: str | None) -> FrameTypeSpec | None:
        """Return the type with a name, as an event recorded it.

        Args:
            name: Such as `polars.DataFrame`.
        """
        return self._specs.get(name) if name is not None else None

    def installed(self) -> FrameTypeSpec:
        """Return the type to load by default: polars, pandas or pyarrow, whichever is installed first in this order.

        pyarrow comes last, because it is always installed as the transport of pandas and of this package.

        Raises:
            RiversError: None of them is installed.
        """
        for name in _PREFERRED:
            if _is_installed(name.partition(".")[0]):
                return self._specs[name]
        raise RiversError("No frame library is installed. Run: pip install pyarrow (or polars, or pandas)")

    def adapter(self, spec: FrameTypeSpec) -> FrameAdapter:
        """Return the adapter of a type, imported on first use.

        Args:
            spec: The type.

        Raises:
            PluginLoadError: It cannot be imported, or is not a `FrameAdapter`.
            RiversError: This process was forked and the library does not work here.
        """
        if spec.target not in self._adapters:
            self._adapters[spec.target] = _create_adapter(spec)
        adapter = self._adapters[spec.target]
        if adapter.fork_guard is not None:
            adapter.fork_guard.enter()
        return adapter

    def can_store(self, hint: Any) -> bool:
        """Return whether values of an annotation can be stored, as far as the annotation shows.

        Args:
            hint: An annotation.

        Raises:
            PluginLoadError: A library that the type needs is not installed.
        """
        classes = hint_classes(hint)
        if not classes or any(map(_is_open, classes)):
            return True
        return any(self._checked(self.for_class(cls)) is not None for cls in classes)

    def can_load(self, hint: Any) -> bool:
        """Return whether an annotation can be satisfied, as far as the annotation shows.

        Args:
            hint: An annotation; of a dictionary of partitions, its values count.

        Raises:
            PluginLoadError: A library that the type needs is not installed.
        """
        classes = hint_classes(hint)
        if not classes or any(map(_is_open, classes)):
            return True
        items = mapping_hint(hint)
        if items is not None:
            return self.can_load(items[1])
        return self._checked(self.for_hint(hint)) is not None

    def frame(self, value: Any, subject: str) -> Frame:
        """Return a value together with its adapter, converted as far as the adapter needs it.

        Args:
            value: The value to store.
            subject: What is stored, for messages: `asset 'orders'`.

        Raises:
            AssetOutputValidationError: It is not a frame, or a column cannot be represented in Arrow; the message names
                the column.
            RiversError: This process was forked and the library does not work here.
        """
        spec = self.for_class(type(value))
        if spec is None:
            raise AssetOutputValidationError(
                f"Cannot store {subject}: its handler stores tables, got a {type(value).__qualname__}; nothing was "
                f"written. Return one of {', '.join(self.names)}, or an object with __arrow_c_stream__."
            )
        adapter = self.adapter(spec)
        try:
            return Frame(spec.type_name, adapter, adapter.prepare(value))
        except TypeError as error:
            raise AssetOutputValidationError(
                f"Cannot store {subject}; nothing was written: {error}."
            ) from error

    def for_loading(
        self, hint: Any, subject: str, *, recorded: str | None = None, default: str | None = None
    ) -> FrameTypeSpec:
        """Return the type to load: the consumer's, else the recorded one, else a default, else an installed one.

        A default that is installed replaces a recorded one that is not.

        Args:
            hint: Annotation of the parameter that receives the value.
            subject: What is loaded, for messages: `asset 'orders'`.
            recorded: Name of the type that was stored, if known.
            default: Name of the type that the settings of the handler prefer.

        Raises:
            PluginLoadError: The library of the type is not installed.
            RiversError: The annotation is not a frame type, or no frame library is installed.
        """
        requested = self._checked(self.for_hint(hint))
        if requested is not None:
            return requested
        if not self.can_load(hint) and not self.can_store(hint):
            name = hint.__qualname__ if isinstance(hint, type) else hint
            raise RiversError(
                f"Could not load {subject}: a table cannot be loaded as {name}. Use one of {', '.join(self.names)}, or "
                "no annotation."
            )
        known = [spec for name in (recorded, default) if (spec := self.for_name(name)) is not None]
        for spec in known:
            if not _missing(spec):
                return spec
        if known:
            missing = _missing(known[0])
            raise PluginLoadError(
                f"Could not load {subject} as {known[0].type_name}, the type that "
                f"{'was stored' if known[0].type_name == recorded else 'default_type names'}: {', '.join(missing)} not "
                f"installed. Run: pip install {' '.join(missing)}; or annotate the parameter with another type: "
                "pyarrow.Table."
            )
        return self.installed()

    def check_name(self, name: str | None) -> None:
        """Check the name of a type in the settings of a handler, before anything runs.

        Args:
            name: Such as `pandas.DataFrame`; None is accepted.

        Raises:
            ConfigurationError: No such type exists.
            PluginLoadError: A library that the type needs is not installed.
        """
        if name is not None and self._checked(self.for_name(name)) is None:
            raise ConfigurationError(
                f"Frame type {name!r} not found.{did_you_mean(name, self.names)} Use one of {', '.join(self.names)}."
            )

    def _checked(self, spec: FrameTypeSpec | None) -> FrameTypeSpec | None:
        """Return a type whose requirements are installed."""
        missing = [] if spec is None else _missing(spec)
        if spec is not None and missing:
            raise PluginLoadError(
                f"Frame type {spec.type_name} needs {', '.join(missing)}, which is not installed. "
                f"Run: pip install {' '.join(missing)}"
            )
        return spec

    def _register(self, owner: str, announce: Callable[[], Iterable[FrameTypeSpec]]) -> None:
        """Register the types of one package; a broken package does not affect the others."""
        try:
            specs = list(announce())
        except (Exception, SystemExit) as error:
            self.broken[owner] = error
            _LOG.warning("Could not load frame types of %s: %s: %s", owner, type(error).__name__, error)
            return
        for spec in specs:
            first = self._owners.setdefault(spec.type_name, owner)
            if self._specs.setdefault(spec.type_name, spec) is not spec:
                self.broken[owner] = PluginLoadError(
                    f"Type {spec.type_name!r} is announced by {first} and by {owner}. Uninstall one of them."
                )


@cache
def get_frame_types() -> FrameTypeRegistry:
    """Return the registry of this process, built on first use."""
    return FrameTypeRegistry()


def _entry_points() -> Iterator[Any]:
    """Yield the announced modules that the policies of this process allow."""
    import importlib_metadata

    for entry in importlib_metadata.entry_points(group=GROUP):
        distribution = None if entry.dist is None else entry.dist.name
        refusal = None if distribution is None else get_registry().refusal(distribution)
        if refusal is None:
            yield entry
        else:
            _LOG.debug("Frame types of %s are not loaded: %s", distribution, refusal)


def _announced_types(entry: Any) -> Iterator[FrameTypeSpec]:
    return _types_of(entry.load())


def _types_of(module: Any) -> Iterator[FrameTypeSpec]:
    """Yield the records of a plugin module.

    Raises:
        TypeError: The hook is missing, is not marked, or yields something else.
    """
    pm = pluggy.PluginManager(PROJECT)
    hook: Any = getattr(module, rivers_frame_types.__name__, None)
    if hook is None or pm.parse_hookimpl_opts(module, rivers_frame_types.__name__) is None:
        raise TypeError(
            "the module does not implement rivers_frame_types; mark the function with @rivers_frames.hookimpl"
        )
    for record in hook():
        if not isinstance(record, FrameTypeSpec):
            raise TypeError(f"rivers_frame_types must yield FrameTypeSpec records, it yielded {record!r}")
        yield record


def _create_adapter(spec: FrameTypeSpec) -> FrameAdapter:
    module, _, name = spec.target.partition(":")
    try:
        adapter: object = getattr(importlib.import_module(module), name)()
    except (Exception, SystemExit) as error:
        missing = _missing(spec)
        advice = f" Run: pip install {' '.join(missing)}" if missing else ""
        raise PluginLoadError(
            f"Could not load adapter {spec.target!r} of {spec.type_name}: {type(error).__name__}: {error}.{advice}"
        ) from error
    if not isinstance(adapter, FrameAdapter):
        raise PluginLoadError(f"Adapter {spec.target!r} of {spec.type_name} must be a FrameAdapter.")
    return adapter


def _imported(spec: FrameTypeSpec) -> Iterator[type]:
    """Yield the class of a type if its library is imported: a value of it cannot exist before."""
    for dotted in (spec.type_name, *spec.aliases):
        module_name, _, name = dotted.rpartition(".")
        cls = getattr(sys.modules.get(module_name), name, None)
        if isinstance(cls, type):
            yield cls


def _missing(spec: FrameTypeSpec) -> list[str]:
    """Return the requirements of a type that are not installed."""
    return [name for name in spec.requires if not _is_installed(name)]


def _is_installed(module: str) -> bool:
    if module in sys.modules:
        return sys.modules[module] is not None
    return importlib.util.find_spec(module.replace("-", "_")) is not None


def _is_open(cls: type) -> bool:
    """Return whether a class is too general to decide by it."""
    return cls is object or bool(getattr(cls, "_is_protocol", False))
