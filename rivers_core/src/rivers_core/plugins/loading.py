"""Loading: import plugin modules and targets, and record their errors, so that they do not affect other plugins."""

from __future__ import annotations

import importlib
import inspect
import logging
from dataclasses import dataclass
from opcode import opname
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Generic

import pluggy

from rivers_core import hooks
from rivers_core._messages import did_you_mean
from rivers_core.exceptions import ALWAYS_PROPAGATE, HandlerNotFoundError, PluginLoadError
from rivers_core.hooks import API_VERSION, CommandSpec, ExecutorSpec, HandlerSpec, RecordT, StorageSpec
from rivers_core.plugins.discovery import (
    COMMANDS,
    ENTRY_POINT_GROUP,
    OBSERVERS,
    RESOLVE,
    is_installed,
)
from rivers_core.plugins.lookup_errors import (
    broken_target_error,
    missing_requirement_error,
    newer_record_error,
    one_line,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator

    from pluggy import PluginManager

    from rivers_core.handler import BaseIOHandler
    from rivers_core.plugins.discovery import PluginEntry

RECORD_HOOKS: Final[dict[str, type[Any]]] = {
    "rivers_io_handlers": HandlerSpec,
    "rivers_executors": ExecutorSpec,
    "rivers_event_storages": StorageSpec,
    "rivers_cli_commands": CommandSpec,
}
# Hooks that are called without being named, by the group in which an entry point announces them.
ANNOUNCED_HOOKS: Final[dict[str, tuple[str, ...]]] = {
    OBSERVERS: (
        "rivers_run_start",
        "rivers_run_end",
        "rivers_output_stored",
        "rivers_input_loaded",
        "rivers_io_failed",
    ),
    RESOLVE: ("rivers_default_io_handler", "rivers_wrap_io_handler"),
    COMMANDS: ("rivers_cli_commands",),
}
MAX_RECORDS: Final = 1000
SLOW_SECONDS: Final = 1.0

_LOG: Final = logging.getLogger("rivers.plugins")


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
    """Plugins that were loaded so far: each has either its records or the error that it raised.

    Args:
        clock: Returns seconds; measures how long a plugin takes to load.

    Attributes:
        pm: Plugin manager in which the working plugins are registered.
        registrations: Records of each working plugin.
        failures: Error of each broken plugin; None if its announcement is invalid.
        target_errors: Error of each record whose target was imported by `check_targets` and cannot be used.
    """

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self.pm = _plugin_manager()
        self.registrations: dict[PluginEntry, tuple[Registration[Any], ...]] = {}
        self.failures: dict[PluginEntry, BaseException | None] = {}
        self.target_errors: dict[Registration[Any], PluginLoadError] = {}
        self._modules: dict[PluginEntry, object] = {}
        self._clock = clock
        self._loading: set[PluginEntry] = set()

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
        start = self._clock()
        try:
            self.add(entry)
        except BaseException as error:
            if _propagates(error, entry.value):
                raise
            self.failures[entry] = error
        finally:
            self._loading.discard(entry)
        seconds = self._clock() - start
        if seconds > SLOW_SECONDS:
            _LOG.warning(
                "Loading the %s took %.1f s. A plugin module should import nothing but rivers_core.hooks; report it "
                "to the authors of %s.",
                *(entry, seconds, entry.distribution),
            )
        return entry not in self.failures

    def add(self, entry: PluginEntry) -> None:
        """Register a plugin and collect its records, or change nothing if that fails.

        Args:
            entry: The plugin.

        Raises:
            BaseException: The module raised, or its hooks or records are invalid.
        """
        module = importlib.import_module(entry.value) if entry.module is None else entry.module
        twin = next((loaded for loaded, other in self._modules.items() if other is module), None)
        if twin is None:
            records = self._register(entry, module)
        else:  # two entry points of one module, which pluggy registers only once
            records = [registration.spec for registration in self.registrations[twin]]
        self.registrations[entry] = tuple(
            Registration(record, entry.distribution, entry.version, entry.name) for record in records
        )
        self._modules[entry] = module

    def of_kind(self, kind: type[RecordT], entries: Iterable[PluginEntry]) -> list[Registration[RecordT]]:
        """Return the records of one kind that some plugins yielded; plugins that were not loaded have none.

        Several entry points of one module have the same records; the one named like a record represents it.
        """
        registrations: dict[tuple[str, object], Registration[RecordT]] = {}
        for entry in entries:
            for item in self.registrations.get(entry, ()):
                key = (item.distribution, item.spec)
                if isinstance(item.spec, kind) and (key not in registrations or item.spec.name == entry.name):
                    registrations[key] = item
        return list(registrations.values())

    def announced_hooks(self, group: str, entries: Iterable[PluginEntry]) -> PluginManager:
        """Return a plugin manager with the working plugins that announce a group, and no others.

        Args:
            group: The group; only its hooks may be called.
            entries: Plugins in the order in which their hooks are called.
        """
        pm = _plugin_manager()
        plugins: dict[int, tuple[str, object]] = {}
        for entry in entries:
            if group in entry.groups and entry in self._modules:
                module = self._modules[entry]
                plugins.setdefault(id(module), (entry.key, module))
        # pluggy calls the plugin that was registered last first
        for key, module in reversed(plugins.values()):
            pm.register(module, name=key)
        return pm

    def hook_names(self, entry: PluginEntry) -> set[str]:
        """Return the hooks that a working plugin implements, announced or not."""
        module = self._modules.get(entry)
        return set() if module is None else {caller.name for caller in self.pm.get_hookcallers(module) or ()}

    def check_targets(self, entries: Iterable[PluginEntry]) -> None:
        """Import the targets of all records and keep the errors in `target_errors`.

        Args:
            entries: Plugins whose records are checked.
        """
        self.target_errors.clear()
        imports = {
            HandlerSpec: import_handler,
            ExecutorSpec: import_class,
            StorageSpec: import_class,
            CommandSpec: import_target,
        }
        for kind, import_record in imports.items():
            for registration in self.of_kind(kind, entries):
                try:
                    import_record(registration)
                except HandlerNotFoundError:
                    continue  # distributions that the record requires may be missing
                except PluginLoadError as error:
                    self.target_errors[registration] = error

    def warnings(self, entry: PluginEntry, entry_names: Container[str]) -> list[str]:
        """Return the mistakes in a working plugin, apart from conflicts with others.

        Args:
            entry: The plugin.
            entry_names: Names of all entry points that its distribution has in the group `rivers`.
        """
        implemented, result = self.hook_names(entry), []
        for group, announced in ANNOUNCED_HOOKS.items():
            names = ", ".join(name for name in announced if name in implemented)
            if names and group not in entry.groups:
                result.append(
                    f"rivers does not call {names}, because no entry point announces it. Add to pyproject.toml: "
                    f'[project.entry-points."{group}"] {entry.name} = "{entry.value}"'
                )
            elif not names and group in entry.groups and entry.module is None:
                result.append(f"It is announced in the group {group!r} but implements none of its hooks.")
        for item in self.registrations[entry]:
            is_named = isinstance(item.spec, CommandSpec) or item.spec.name in entry_names
            if not is_named and entry.module is None:
                result.append(
                    f"No entry point is named {item.spec.name!r}, so that using it loads every plugin. Add to "
                    f'pyproject.toml: [project.entry-points.{ENTRY_POINT_GROUP}] {item.spec.name} = "{entry.value}"'
                )
        return [
            *result,
            *(
                str(self.target_errors[item])
                for item in self.registrations[entry]
                if item in self.target_errors
            ),
        ]

    def _register(self, entry: PluginEntry, module: object) -> list[Any]:
        try:
            self.pm.register(module, name=entry.key)
            _check_hooks(self.pm, module)
            return list(_checked_records(self._yielded(module)))
        except BaseException:
            if self.pm.get_plugin(entry.key) is module:
                self.pm.unregister(name=entry.key)
            raise

    def _yielded(self, module: object) -> Iterator[tuple[str, Any]]:
        """Yield name and result of each implementation of a record hook in a plugin."""
        for hook_name in RECORD_HOOKS:
            for impl in getattr(self.pm.hook, hook_name).get_hookimpls():
                if impl.plugin is module and (result := impl.function()) is not None:
                    yield hook_name, result


def _plugin_manager() -> PluginManager:
    pm = pluggy.PluginManager(hooks.PROJECT)
    pm.add_hookspecs(hooks)
    return pm


def import_target(registration: Registration[Any]) -> Any:
    """Import the target of a record.

    Args:
        registration: The record.

    Returns:
        The class or function behind `target`.

    Raises:
        HandlerNotFoundError: A distribution that the record requires is not installed.
        PluginLoadError: The target does not exist, importing it failed, or the record needs a newer core.
    """
    spec = registration.spec
    if spec.api_version > API_VERSION:
        raise newer_record_error(registration)
    missing = [name for name in getattr(spec, "requires", ()) if not is_installed(name)]
    if missing:
        raise missing_requirement_error(registration, missing)
    try:
        return getattr(importlib.import_module(spec.module), spec.class_name)
    except BaseException as error:
        if _propagates(error, spec.module):
            raise
        raise broken_target_error(registration, one_line(error), error) from error


def _propagates(error: BaseException, module: str) -> bool:
    """Return whether an exception ends the program.

    A plugin whose own code raises `KeyboardInterrupt` is broken. One that comes from a signal or a trace function does
    not stem from a `raise` statement of the plugin.
    """
    if not isinstance(error, KeyboardInterrupt):
        return isinstance(error, ALWAYS_PROPAGATE)
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None:
        return True
    raised_in = traceback.tb_frame.f_globals.get("__name__", "").partition(".")[0]
    instruction = traceback.tb_frame.f_code.co_code[traceback.tb_lasti]
    return raised_in != module.partition(".")[0] or opname[instruction] != "RAISE_VARARGS"


def import_class(registration: Registration[Any]) -> type:
    """Import the class behind a record; raises as `import_target` does, also if the target is not a class."""
    target = import_target(registration)
    if not isinstance(target, type):
        raise broken_target_error(
            registration, f"{registration.spec.class_name} is a {type(target).__name__}, not a class"
        )
    return target


def import_handler(registration: Registration[Any]) -> type[BaseIOHandler]:
    """Import the handler class behind a record; raises as `import_class` does, also if the engine cannot call it."""
    from rivers_core.handler import (
        BaseIOHandler,
        contract_problems,
    )  # brings pydantic, which listing plugins does not need

    target = import_class(registration)
    if not issubclass(target, BaseIOHandler):
        raise broken_target_error(
            registration, f"{target.__qualname__} is not a subclass of rivers_core.BaseIOHandler"
        )
    if inspect.isabstract(target):
        methods = " and ".join(sorted(target.__abstractmethods__))
        raise broken_target_error(registration, f"{target.__qualname__} does not implement {methods}")
    if problems := contract_problems(target):
        raise broken_target_error(registration, " ".join(problems))
    return target


def _check_hooks(pm: PluginManager, module: object) -> None:
    """Reject hook implementations that rivers could not call.

    Args:
        pm: Plugin manager in which the plugin is registered.
        module: The plugin.

    Raises:
        AttributeError: It implements a hook that does not exist and is not marked as optional, or defines a function
            with the name of a hook and does not mark it.
        TypeError: An implementation is a pluggy wrapper, whose generator rivers does not run.
    """
    hooks = vars(pm.hook)
    known = sorted(name for name, hook in hooks.items() if hook.has_spec())
    for name, hook in hooks.items():
        for impl in hook.get_hookimpls():
            if impl.plugin is not module:
                continue
            if name not in known and not impl.optionalhook:
                hint = did_you_mean(name, known) or f" Use one of: {', '.join(known)}."
                raise AttributeError(f"hook {name!r} not found.{hint}")
            if impl.wrapper or impl.hookwrapper:
                raise TypeError(
                    f"{name} cannot be a pluggy wrapper; return a result instead of yielding once"
                )
    for name in known:
        if _is_unmarked(pm, module, name):
            raise AttributeError(f"{name} is not marked as a hook. Write @hookimpl above it.")


def _is_unmarked(pm: PluginManager, module: object, name: str) -> bool:
    """Return whether a plugin has a function with the name of a hook that pluggy ignores.

    A hook specification, which a plugin may import for its type, does not count.
    """
    function = getattr(module, name, None)
    return (
        inspect.isroutine(function)
        and pm.parse_hookimpl_opts(module, name) is None
        and pm.parse_hookspec_opts(module, name) is None  # type: ignore[arg-type]
    )


def _checked_records(yielded: Iterable[tuple[str, Any]]) -> Iterator[Any]:
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
            if len(seen) == MAX_RECORDS:
                raise ValueError(f"{hook_name} yields more than {MAX_RECORDS:,} records")
            if (kind, record.name) in seen:
                raise ValueError(f"{hook_name} yields the name {record.name!r} twice")
            seen.add((kind, record.name))
            yield record


def _described(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"
