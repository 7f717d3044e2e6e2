"""Loads one plugin module at a time, so that a broken one stops nobody else and says whose it is."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

import pluggy

from rivers_core.exceptions import ALWAYS_PROPAGATE, PluginLoadError
from rivers_core.hooks import PROJECT, specs
from rivers_core.hooks.matching import misspelt, refuse_wrappers
from rivers_core.plugins.spec import CommandSpec, ExecutorSpec, HandlerSpec
from rivers_core.plugins.states import Registration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rivers_core.plugins.entries import PluginEntry

KINDS: Final[dict[str, type[Any]]] = {
    "rivers_io_handlers": HandlerSpec,
    "rivers_executors": ExecutorSpec,
    "rivers_cli_commands": CommandSpec,
}


class PluginLoader:
    """Owns the plugin manager; a plugin ends up as a tuple of records or as an error, never half of both."""

    def __init__(self) -> None:
        self.pm = pluggy.PluginManager(PROJECT)
        self.pm.add_hookspecs(specs)
        self.provided: dict[PluginEntry, tuple[Registration[Any], ...]] = {}
        self.errors: dict[PluginEntry, PluginLoadError] = {}
        self._loading: set[PluginEntry] = set()
        self._incoming: list[tuple[str, Any]] = []
        for hook_name in KINDS:
            getattr(self.pm.hook, hook_name).call_historic(result_callback=self._receiver(hook_name))

    def known(self) -> set[PluginEntry]:
        """The plugins that were loaded, or turned out to be broken."""
        return {*self.provided, *self.errors}

    def has_other(self, entry: PluginEntry, module: object) -> bool:
        """Whether a plugin was loaded from another module than this.

        Args:
            entry: The plugin.
            module: The module, or what stands in for one.
        """
        loaded = self.pm.get_plugin(entry.key)
        return loaded is not None and loaded is not module

    def load(self, entry: PluginEntry, module: object = None) -> PluginLoadError | None:
        """Import and register the module of an entry point, once.

        Args:
            entry: The entry point.
            module: Its module, if it is one of this process that nobody has to import.

        Returns:
            What went wrong, with the original error as its cause; None if the plugin works.
        """
        if entry in self.provided or entry in self.errors or entry in self._loading:
            return self.errors.get(entry)
        if entry.fault:
            self.errors[entry] = PluginLoadError(f"The {entry} is broken: {entry.fault}. {_advice(entry)}")
            return self.errors[entry]
        self._loading.add(entry)
        try:
            self.add(entry, importlib.import_module(entry.value) if module is None else module)
        except ALWAYS_PROPAGATE:
            raise
        except BaseException as error:
            self.errors[entry] = broken(entry, error)
        finally:
            self._loading.discard(entry)
        return self.errors.get(entry)

    def add(self, entry: PluginEntry, module: object) -> None:
        """Register a module and take its records; nothing of it stays if that fails.

        Args:
            entry: Under which identity.
            module: The module, or another object with hook implementations.

        Raises:
            Exception: Whatever is wrong with it.
        """
        twin = self._registered(module)
        if twin is not None:
            records = [provided.spec for provided in self.provided[twin]]
        else:
            records = self._register(entry, module)
        self.provided[entry] = tuple(
            Registration(record, entry.distribution, entry.version, entry.name) for record in records
        )

    def drop(self, entry: PluginEntry) -> None:
        """Forget a plugin, as if it had never been loaded; its module stays imported.

        Args:
            entry: The entry point.
        """
        self.errors.pop(entry, None)
        if self.provided.pop(entry, None) is None:
            return
        module = self.pm.get_plugin(entry.key)
        if module is None:
            return
        self.pm.unregister(name=entry.key)
        twin = next((other for other in self.provided if other.value == entry.value), None)
        if twin is not None:
            self.pm.register(module, name=twin.key)
            self._incoming.clear()

    def arrange(self, entries: Iterable[PluginEntry]) -> None:
        """Put the registered plugins into an order that does not tell in which they were loaded.

        Args:
            entries: The plugins, in the order in which their hooks are to be called.
        """
        # pluggy calls what was registered last first
        wanted = [entry.key for entry in entries if self.pm.has_plugin(entry.key)][::-1]
        known = [name for name, _ in self.pm.list_name_plugin()]
        if known == wanted:
            return
        plugins = {name: self.pm.unregister(name=name) for name in wanted}
        for name, plugin in plugins.items():
            self.pm.register(plugin, name=name)
        self._incoming.clear()

    def hooks_of(self, entry: PluginEntry) -> list[str]:
        """The hooks that a loaded plugin implements beyond the ones that yield records.

        Args:
            entry: The entry point.

        Returns:
            Names of hooks.
        """
        module = self.pm.get_plugin(entry.key)
        callers = (self.pm.get_hookcallers(module) or []) if module is not None else []
        return sorted(caller.name for caller in callers if caller.name not in KINDS)

    def _receiver(self, hook_name: str) -> Callable[[Any], None]:
        def receive(result: Any) -> None:
            self._incoming.append((hook_name, result))

        return receive

    def _registered(self, module: object) -> PluginEntry | None:
        name = next((name for name, plugin in self.pm.list_name_plugin() if plugin is module), None)
        return next((entry for entry in self.provided if entry.key == name), None)

    def _register(self, entry: PluginEntry, module: object) -> list[Any]:
        self._incoming.clear()
        try:
            self.pm.register(module, name=entry.key)
            misspelt(self.pm, module)
            refuse_wrappers(self.pm, module)
            return list(_records(self._incoming))
        except BaseException:
            if self.pm.get_plugin(entry.key) is not None:
                self.pm.unregister(name=entry.key)
            raise
        finally:
            self._incoming.clear()


def _records(incoming: list[tuple[str, Any]]) -> Iterator[Any]:
    seen: set[tuple[type, str]] = set()
    for hook_name, result in incoming:
        kind = KINDS[hook_name]
        if isinstance(result, (str, bytes, kind)) or not hasattr(result, "__iter__"):
            raise TypeError(
                f"{hook_name} has to yield {kind.__name__} records, it returned {_described(result)}"
            )
        for record in result:
            if not isinstance(record, kind):
                raise TypeError(
                    f"{hook_name} has to yield {kind.__name__} records, it yielded {_described(record)}"
                )
            if (kind, record.name) in seen:
                raise ValueError(f"{hook_name} yields the name {record.name!r} twice")
            seen.add((kind, record.name))
            yield record


def _described(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"


def broken(entry: PluginEntry, error: BaseException) -> PluginLoadError:
    """Say which plugin is broken and why.

    Args:
        entry: The plugin.
        error: What it raised.

    Returns:
        An error with the original one as its cause.
    """
    reason = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(":")
    failure = PluginLoadError(
        f"The {entry} (module {entry.value!r}) is broken: {reason}. {_advice(entry)}", name=entry.value
    )
    failure.__cause__ = error
    return failure


def again(error: PluginLoadError) -> PluginLoadError:
    """A load error to raise once more, without the traceback of the time before.

    Args:
        error: What went wrong when the plugin was loaded.

    Returns:
        The same message with the same cause.
    """
    fresh = PluginLoadError(str(error), name=error.name)
    fresh.__cause__ = error.__cause__
    return fresh


def _advice(entry: PluginEntry) -> str:
    return (
        f"Upgrade or uninstall {entry.distribution}, or exclude it: RIVERS_PLUGINS_DENY={entry.distribution}"
    )
