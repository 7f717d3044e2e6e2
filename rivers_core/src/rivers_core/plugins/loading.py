"""Loading: import plugin modules and targets under guard, so that a broken plugin affects nobody else."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic

import pluggy

from rivers_core.exceptions import ALWAYS_PROPAGATE
from rivers_core.hooks import PROJECT, specs
from rivers_core.hooks.records import CommandSpec, ExecutorSpec, HandlerSpec, RecordT
from rivers_core.hooks.validation import validate_hooks
from rivers_core.plugins._lookup_errors import broken_target_error, missing_requirement_error, one_line
from rivers_core.plugins.discovery import is_installed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rivers_core.handler import BaseIOHandler
    from rivers_core.plugins.discovery import PluginEntry

RECORD_HOOKS: Final[dict[str, type[Any]]] = {
    "rivers_io_handlers": HandlerSpec,
    "rivers_executors": ExecutorSpec,
    "rivers_cli_commands": CommandSpec,
}


@dataclass(frozen=True, slots=True)
class Registration(Generic[RecordT]):
    """Record together with the plugin that yielded it.

    Args:
        spec: The record.
        distribution: Name of the distribution.
        version: Version of the distribution.
        entry_point: Name of the entry point.
    """

    spec: RecordT
    distribution: str
    version: str
    entry_point: str

    @property
    def qualified_name(self) -> str:
        """Name that no other distribution can claim: `distribution:name`."""
        return f"{self.distribution}:{self.spec.name}"

    @property
    def owner(self) -> str:
        """Distribution and version, for messages."""
        return f"{self.distribution} {self.version}".strip()


class LoadedPlugins:
    """Plugins that were loaded so far: each has its records or the error that it raised, never half of both.

    Attributes:
        pm: Plugin manager in which the working plugins are registered.
        registrations: Records of each working plugin.
        failures: Error of each broken plugin; None if its announcement is invalid.
    """

    def __init__(self) -> None:
        self.pm = pluggy.PluginManager(PROJECT)
        self.pm.add_hookspecs(specs)
        self.registrations: dict[PluginEntry, tuple[Registration[Any], ...]] = {}
        self.failures: dict[PluginEntry, BaseException | None] = {}
        self._loading: set[PluginEntry] = set()
        self._yielded: list[tuple[str, Any]] = []
        for hook_name in RECORD_HOOKS:
            # a historic call reaches each plugin when it is registered, and no plugin twice
            getattr(self.pm.hook, hook_name).call_historic(result_callback=self._collector(hook_name))

    def load(self, entry: PluginEntry) -> bool:
        """Import and register a plugin, once.

        Args:
            entry: The plugin.

        Returns:
            Whether the plugin works; if not, `failures` holds the reason.
        """
        if entry in self.registrations or entry in self._loading:
            return True
        if entry in self.failures:
            return False
        if entry.problem:
            self.failures[entry] = None
            return False
        self._loading.add(entry)
        try:
            self.add(entry)
        except ALWAYS_PROPAGATE:
            raise
        except BaseException as error:
            self.failures[entry] = error
        finally:
            self._loading.discard(entry)
        return entry not in self.failures

    def add(self, entry: PluginEntry) -> None:
        """Register a plugin and collect its records, or change nothing if that fails.

        Args:
            entry: The plugin.

        Raises:
            BaseException: The module raised, or its hooks or records are invalid.
        """
        module = importlib.import_module(entry.value) if entry.module is None else entry.module
        twin = next((key for key, plugin in self.pm.list_name_plugin() if plugin is module), None)
        if twin is None:
            records = self._register(entry, module)
        else:  # two entry points of one module; pluggy takes it once
            records = next(
                [registration.spec for registration in registrations]
                for loaded, registrations in self.registrations.items()
                if loaded.key == twin
            )
        self.registrations[entry] = tuple(
            Registration(record, entry.distribution, entry.version, entry.name) for record in records
        )

    def of_kind(self, kind: type[RecordT], entries: Iterable[PluginEntry]) -> list[Registration[RecordT]]:
        """Return the records of one kind that some plugins yielded; plugins that were not loaded have none."""
        registrations = (item for entry in entries for item in self.registrations.get(entry, ()))
        return [item for item in registrations if isinstance(item.spec, kind)]

    def sort(self, entries: Iterable[PluginEntry]) -> None:
        """Register the working plugins in a given order, so that the order of loading does not show.

        Args:
            entries: Plugins in the order in which their hooks are called.
        """
        # pluggy calls the plugin that was registered last first
        wanted = [entry.key for entry in entries if self.pm.has_plugin(entry.key)][::-1]
        if [key for key, _ in self.pm.list_name_plugin()] == wanted:
            return
        plugins = {key: self.pm.unregister(name=key) for key in wanted}
        for key, plugin in plugins.items():
            self.pm.register(plugin, name=key)
        self._yielded.clear()

    def hook_names(self, entry: PluginEntry) -> list[str]:
        """Return the hooks that a working plugin implements, apart from those that yield records."""
        plugin = self.pm.get_plugin(entry.key)
        callers = (self.pm.get_hookcallers(plugin) or []) if plugin is not None else []
        return sorted(caller.name for caller in callers if caller.name not in RECORD_HOOKS)

    def _collector(self, hook_name: str) -> Callable[[Any], None]:
        return lambda result: self._yielded.append((hook_name, result))

    def _register(self, entry: PluginEntry, module: object) -> list[Any]:
        self._yielded.clear()
        try:
            self.pm.register(module, name=entry.key)
            validate_hooks(self.pm, module)
            return list(_checked_records(self._yielded))
        except BaseException:
            if self.pm.get_plugin(entry.key) is not None:
                self.pm.unregister(name=entry.key)
            raise
        finally:
            self._yielded.clear()


def import_target(registration: Registration[Any]) -> Any:
    """Import the target of a record.

    Args:
        registration: The record.

    Returns:
        The class or function behind `target`.

    Raises:
        HandlerNotFoundError: A distribution that the record requires is not installed.
        PluginLoadError: The target does not exist, or importing it failed.
    """
    spec = registration.spec
    missing = [name for name in getattr(spec, "requires", ()) if not is_installed(name)]
    if missing:
        raise missing_requirement_error(registration, missing)
    try:
        return getattr(importlib.import_module(spec.module), spec.class_name)
    except ALWAYS_PROPAGATE:
        raise
    except BaseException as error:
        raise broken_target_error(registration, one_line(error)) from error


def import_class(registration: Registration[Any]) -> type:
    """Import the class behind a record; raises as `import_target` does, also if the target is not a class."""
    target = import_target(registration)
    if not isinstance(target, type):
        raise broken_target_error(
            registration, f"{registration.spec.class_name} is a {type(target).__name__}, not a class"
        )
    return target


def import_handler(registration: Registration[Any]) -> type[BaseIOHandler]:
    """Import the handler class behind a record; raises as `import_class` does, also if it cannot be instantiated."""
    from rivers_core.handler import BaseIOHandler  # brings pydantic, which listing plugins does not need

    target = import_class(registration)
    if not issubclass(target, BaseIOHandler):
        raise broken_target_error(
            registration, f"{target.__qualname__} is not a subclass of rivers_core.BaseIOHandler"
        )
    if inspect.isabstract(target):
        methods = " and ".join(sorted(target.__abstractmethods__))
        raise broken_target_error(registration, f"{target.__qualname__} does not implement {methods}")
    return target


def _checked_records(yielded: list[tuple[str, Any]]) -> Iterator[Any]:
    seen: set[tuple[type, str]] = set()
    for hook_name, result in yielded:
        kind = RECORD_HOOKS[hook_name]
        if isinstance(result, (str, bytes, kind)) or not hasattr(result, "__iter__"):
            raise TypeError(
                f"{hook_name} must yield {kind.__name__} records, it returned {_described(result)}"
            )
        for record in result:
            if not isinstance(record, kind):
                raise TypeError(
                    f"{hook_name} must yield {kind.__name__} records, it yielded {_described(record)}"
                )
            if (kind, record.name) in seen:
                raise ValueError(f"{hook_name} yields the name {record.name!r} twice")
            seen.add((kind, record.name))
            yield record


def _described(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"
