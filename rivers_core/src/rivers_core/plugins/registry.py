"""Registry: look up handlers, executors and commands by name, loading no more plugins than necessary."""

from __future__ import annotations

import logging
from copy import copy
from dataclasses import dataclass, replace
from threading import RLock
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Generic

from rivers_core.exceptions import (
    ALWAYS_PROPAGATE,
    ConfigurationError,
    HandlerNotFoundError,
    PluginLoadError,
)
from rivers_core.hooks import CommandSpec, ExecutorSpec, HandlerSpec, RecordT, StorageSpec
from rivers_core.plugins import lookup_errors as errors
from rivers_core.plugins.discovery import (
    COMMANDS,
    ENTRY_POINT_GROUP,
    OBSERVERS,
    RESOLVE,
    Discovery,
    PluginPolicy,
    environment_policy,
    package_to_install,
    same_distribution,
    strict_environment,
)
from rivers_core.plugins.loading import (
    ANNOUNCED_HOOKS,
    LoadedPlugins,
    Registration,
    import_class,
    import_handler,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pluggy import PluginManager

    from rivers_core.handler import BaseIOHandler
    from rivers_core.plugins.discovery import PluginEntry

KINDS: Final[dict[type, str]] = {
    HandlerSpec: "IO handler",
    ExecutorSpec: "executor",
    StorageSpec: "event storage",
    CommandSpec: "command",
}

_LOG: Final = logging.getLogger("rivers.plugins")


@dataclass(frozen=True, slots=True)
class PluginStatus:
    """Status of one plugin.

    Args:
        distribution: Name of the distribution.
        version: Version of the distribution.
        entry_point: Name of the entry point.
        state: `"not loaded"`, `"loaded"`, `"broken"` or `"denied"`.
        error: Why the plugin is broken or denied.
        provides: What a loaded plugin provides: `"handler json"`, `"executor dask"`, `"hook ..."`.
        warnings: Mistakes in a loaded plugin: hooks that are not called, names that another plugin claims as well,
            targets that cannot be used (after `load_all(targets=True)`).
        groups: Groups in which an entry point announces the plugin.
        unusable: Which of `provides` cannot be used (after `load_all(targets=True)`).
        causes: The exceptions behind `error` or unusable records, each followed by its cause, with file and line.
    """

    distribution: str
    version: str
    entry_point: str
    state: str
    error: str | None = None
    provides: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    unusable: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()


def _described(registration: Registration[Any]) -> str:
    return f"{KINDS[type(registration.spec)].split()[-1]} {registration.spec.name}"


@dataclass(frozen=True, slots=True)
class _Query(Generic[RecordT]):
    """One lookup.

    Args:
        kind: Kind of the record.
        noun: Noun for it in messages, such as `"IO handler"`.
        name: Name of the record, or of the class behind its target.
        names: Names that the entry point or the package of a plugin with such a record may have.
        owner: Distribution that was asked for; None for any.
        by_class: Whether `name` is that of the class.
    """

    kind: type[RecordT]
    noun: str
    name: str
    names: Sequence[str]
    owner: str | None = None
    by_class: bool = False

    def name_of(self, item: Registration[RecordT]) -> str:
        return item.spec.class_name if self.by_class else item.spec.name

    def matches(self, item: Registration[RecordT]) -> bool:
        return self.name_of(item) == self.name

    def is_likely(self, entry: PluginEntry) -> bool:
        return (entry.name.replace("_", "-") if self.by_class else entry.name) in self.names


class PluginRegistry:
    """Registry of the plugins that exist for this process and that its policies allow.

    A lookup by name loads the plugins whose entry point in the group `rivers` has that name, and all plugins only if
    those do not provide it. Hooks that act without being named are called if an entry point announces them, in the
    group `rivers.observers`, `rivers.resolve` or `rivers.commands`; nothing else is loaded for them. A second claim
    of a name, behind an entry point of another name, is detected when both plugins are loaded, as `load_all` does.

    Args:
        entry_points: Entry points to use instead of those of installed distributions.
        allow: Patterns of distributions that may be imported; None allows all.
        deny: Patterns of distributions that must not be imported.
        pin: Name to the distribution that provides it.
        strict: Whether every plugin is loaded and a broken one is an error at once; None reads
            `RIVERS_STRICT_PLUGINS`.
        clock: Returns seconds; measures how long a plugin takes to load.

    Examples:
        >>> registry = PluginRegistry()
        >>> registry.handler("memory")()
        InMemoryIOHandler()
    """

    def __init__(
        self,
        entry_points: Iterable[Any] | None = None,
        allow: Iterable[str] | None = None,
        deny: Iterable[str] | None = None,
        pin: Mapping[str, str] | None = None,
        strict: bool | None = None,
        *,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._lock = RLock()
        self._clock = clock
        self._strict = strict
        self._discovery = Discovery(entry_points)
        self._code_policy = PluginPolicy.of("code", allow, deny, pin)
        self._own_policy: PluginPolicy | None = None
        self._reset()

    def _reset(self) -> None:
        self._state: tuple[object, ...] | None = None
        self._entries: list[PluginEntry] = []
        self._loaded = LoadedPlugins(self._clock)
        self._hooks_by_group: dict[str, PluginManager] = {}

    def handler(self, name: str) -> type[BaseIOHandler]:
        """Return the handler class of a name; its module is imported now.

        Args:
            name: A name, or `distribution:name`.

        Raises:
            HandlerNotFoundError: The name is unknown, not installed or not allowed.
            PluginLoadError: The plugin that provides it is broken.
            ConfigurationError: Several distributions claim the name.
        """
        return import_handler(self.handler_spec(name))

    def handler_spec(self, name: str) -> Registration[HandlerSpec]:
        """Return the record of a handler, without importing its target; see `handler` for arguments and errors."""
        return self._find(self._named(HandlerSpec, name))

    def handlers(self) -> list[Registration[HandlerSpec]]:
        """Return the records of all handlers, sorted by name; loads every plugin but no target.

        A name that two distributions claim appears twice.
        """
        return self._all(HandlerSpec)

    def handler_class(self, class_name: str) -> type[BaseIOHandler]:
        """Return a handler class by its own name, as in `rs.PickleIOHandler`; its module is imported now.

        Args:
            class_name: Name of the class.

        Raises:
            AttributeError: No handler has such a class; the message names what to install or what exists.
            PluginLoadError: The plugin that seems to provide it is broken.
            ConfigurationError: Several distributions have a class of this name.
        """
        names = errors.names_of_class(class_name)
        query = _Query(HandlerSpec, "IO handler class", class_name, names, by_class=True)
        try:
            return import_handler(self._find(query))
        except HandlerNotFoundError as error:
            raise AttributeError(str(error)) from error.__cause__

    def executor(self, name: str) -> type:
        """Return the executor class of a name; its module is imported now. See `handler` for arguments and errors."""
        return import_class(self._find(self._named(ExecutorSpec, name)))

    def executors(self) -> list[Registration[ExecutorSpec]]:
        """Return the records of all executors, sorted by name; loads every plugin but no target."""
        return self._all(ExecutorSpec)

    def storage(self, scheme: str) -> type:
        """Return the class of event storages with URLs of a scheme; its module is imported now.

        Args:
            scheme: Scheme such as `postgresql`, or `distribution:scheme`. See `handler` for errors.
        """
        query = self._named(StorageSpec, scheme)
        # the package of a SQL database is often named without the end of its scheme: rivers-postgres
        return import_class(self._find(replace(query, names=[query.name, query.name.removesuffix("ql")])))

    def storages(self) -> list[Registration[StorageSpec]]:
        """Return the records of all event storages, sorted by scheme; loads every plugin but no target."""
        return self._all(StorageSpec)

    def commands(self) -> list[Registration[CommandSpec]]:
        """Return the records of all commands that plugins announce, sorted by name; loads those plugins, no target."""
        return self._all(CommandSpec, COMMANDS)

    def plugins(self) -> list[PluginStatus]:
        """Return the status of every plugin, sorted by distribution and entry point; imports nothing."""
        with self._lock:
            self._refresh()
            return [
                self._status(entry) for entry in (*self._discovery.installed(), *self._discovery.in_process)
            ]

    def refusal(self, distribution: str) -> str | None:
        """Return why the policies do not allow to import modules of a distribution; None if they do.

        For libraries that find further plugins in a separate entry-point group.

        Args:
            distribution: Name of the distribution.
        """
        return _refusal(self._policies(), distribution)

    def load_all(self, *, targets: bool = False) -> None:
        """Load every allowed plugin, so that `plugins` reports conflicts and mistakes of all.

        Args:
            targets: Whether to import the targets of all records as well.

        Raises:
            PluginLoadError: A plugin is broken and the registry is strict.
        """
        with self._lock:
            loaded = self._refresh()
            self._load(self._entries)
            if targets:
                loaded.check_targets(self._entries)

    def hooks(self, group: str) -> PluginManager:
        """Return the plugins whose hooks of a group are called; loads those that announce it, and no others.

        The result never changes: once plugins or policies differ, the next call returns another one.

        Args:
            group: `"rivers.observers"` or `"rivers.resolve"`.

        Raises:
            PluginLoadError: A plugin that announces `rivers.resolve` is broken.
        """
        with self._lock:
            loaded = self._refresh()
            if group not in self._hooks_by_group or (loaded.failures and self._is_strict()):
                announced = [entry for entry in self._entries if group in entry.groups]
                self._load(announced)
                for entry in announced:
                    if entry in loaded.failures:
                        self._report_broken(entry, group)
                in_process = self._discovery.in_process
                installed = [entry for entry in announced if entry not in in_process]
                self._hooks_by_group[group] = loaded.announced_hooks(
                    group, [*reversed(in_process), *installed]
                )
            return self._hooks_by_group[group]

    def register(self, module: object, name: str) -> None:
        """Add a plugin to this process, for notebooks and tests.

        Args:
            module: A module, or another object with hook implementations.
            name: Name that takes the place of the distribution.

        Raises:
            PluginLoadError: The plugin is broken, or the name is already registered.
        """
        with self._lock:
            if any(entry.name == name for entry in self._discovery.in_process):
                raise PluginLoadError(
                    f"A plugin {name!r} is already registered. Call unregister({name!r}) first."
                )
            entry = self._discovery.in_process_entry(module, name)
            try:
                self._refresh().add(entry)
            except ALWAYS_PROPAGATE:
                raise
            except BaseException as error:
                raise errors.broken_plugin_error(entry, error) from error
            self._discovery.in_process = (*self._discovery.in_process, entry)
            self._refresh()  # otherwise an immediate unregister() would look like no change

    def unregister(self, name: str) -> None:
        """Remove a plugin that was added with `register`.

        Args:
            name: Name under which it was registered; an unknown one is ignored.
        """
        with self._lock:
            self._discovery.remove(name)

    def configure(
        self,
        allow: Iterable[str] | None = None,
        deny: Iterable[str] | None = None,
        pin: Mapping[str, str] | None = None,
        *,
        source: str = "rivers.toml",
    ) -> None:
        """Set the policy of this process, in place of an earlier one; those of code and environment apply as well.

        A configuration with a `[plugins]` table has a separate policy that takes its place; see `with_policy`.

        Args:
            allow: Patterns of distributions that may be imported; None allows all.
            deny: Patterns of distributions that must not be imported.
            pin: Name to the distribution that provides it.
            source: Where the policy was set, for messages.
        """
        with self._lock:
            self._discovery.policy = PluginPolicy.of(source, allow, deny, pin)
            self._own_policy = None

    def with_policy(
        self,
        allow: Iterable[str] | None = None,
        deny: Iterable[str] | None = None,
        pin: Mapping[str, str] | None = None,
        *,
        source: str = "rivers.toml",
    ) -> PluginRegistry:
        """Return a registry of the same plugins with a separate policy that no other registry can change.

        Args:
            allow: Patterns of distributions that may be imported; None allows all.
            deny: Patterns of distributions that must not be imported.
            pin: Name to the distribution that provides it.
            source: Where the policy was set, for messages.

        Returns:
            A registry in which this policy takes the place of that of `configure`; an empty one leaves that in force.
            Plugins registered in this process with either registry exist in both.
        """
        policy = PluginPolicy.of(source, allow, deny, pin)
        registry: PluginRegistry = copy(self)
        registry._own_policy = None if policy.is_empty else policy
        registry._reset()
        return registry

    def adopt_policy(self, other: PluginRegistry) -> None:
        """Apply the separate policy of another registry here; does nothing if it has none.

        Args:
            other: A registry that `with_policy` returned.
        """
        if other._own_policy is not None:
            with self._lock:
                self._own_policy = other._own_policy

    def _policies(self) -> tuple[PluginPolicy, ...]:
        """Return the policies that apply; the first that pins a name wins."""
        configured = self._own_policy or self._discovery.policy
        policies = (self._code_policy, environment_policy())
        return policies if configured is None else (configured, *policies)

    def _refresh(self) -> LoadedPlugins:
        """Apply changes of `sys.path`, plugins and policies since the last call.

        This runs before every lookup and every run; nothing but the comparison happens if nothing has changed.
        """
        policies = self._policies()
        state = (self._discovery.installed(), self._discovery.in_process, policies)
        if state != self._state:
            installed, in_process, _ = state
            self._entries = [entry for entry in installed if _refusal(policies, entry.distribution) is None]
            self._entries += in_process
            self._hooks_by_group = {}
            if not {*self._loaded.registrations, *self._loaded.failures} <= {*self._entries}:
                # modules stay imported, so that loading the others again is quick
                self._loaded = LoadedPlugins(self._clock)
            self._state = state
        return self._loaded

    def _is_strict(self) -> bool:
        return strict_environment() if self._strict is None else self._strict

    def _load(self, entries: Iterable[PluginEntry]) -> None:
        """Load plugins; a strict registry loads all and raises the error of the first broken one."""
        strict, loaded = self._is_strict(), self._loaded
        for entry in self._entries if strict else entries:
            if not loaded.load(entry) and strict:
                raise errors.broken_plugin_error(entry, loaded.failures[entry])

    def _report_broken(self, entry: PluginEntry, group: str) -> None:
        """Report a plugin whose hooks cannot be called; without its wrapper a value might be stored unencrypted."""
        failure = self._loaded.failures[entry]
        if group == RESOLVE:
            raise errors.broken_plugin_error(entry, failure)
        reason = errors.reason_of(entry, failure)
        _LOG.warning("The %s is broken, its hooks are not called: %s", entry, reason)

    def _all(self, kind: type[RecordT], group: str | None = None) -> list[Registration[RecordT]]:
        with self._lock:
            loaded = self._refresh()
            entries = [entry for entry in self._entries if group is None or group in entry.groups]
            self._load(entries)
            registrations = loaded.of_kind(kind, entries)
            return sorted(registrations, key=lambda item: (item.spec.name, item.distribution))

    def _named(self, kind: type[RecordT], name: str) -> _Query[RecordT]:
        if not isinstance(name, str):
            raise TypeError(f"The {KINDS[kind]} name must be a str, got {name!r}.")
        distribution, _, bare_name = name.rpartition(":")
        return _Query(kind, KINDS[kind], bare_name, [bare_name], distribution or self._pinned(bare_name))

    def _find(self, query: _Query[RecordT]) -> Registration[RecordT]:
        with self._lock:
            matches = self._search(query)
            if not matches and self._discovery.rescan():
                matches = self._search(query)
            if not matches:
                raise self._absence(query)
            pinned = [item for item in matches if self._is_pinned(item)]
            return _only(query.noun, query.name, pinned if query.by_class and pinned else matches)

    def _search(self, query: _Query[RecordT]) -> list[Registration[RecordT]]:
        """Return the records that match, loading the plugins that probably have them first."""
        loaded = self._refresh()
        entries = [entry for entry in self._entries if entry.belongs_to(query.owner)]
        likely = [entry for entry in entries if query.is_likely(entry) and ENTRY_POINT_GROUP in entry.groups]
        self._load(likely)
        if not any(map(query.matches, loaded.of_kind(query.kind, likely))):
            self._load(entries)
        return [item for item in loaded.of_kind(query.kind, entries) if query.matches(item)]

    def _absence(self, query: _Query[Any]) -> HandlerNotFoundError:
        """Return the error for a name that has no record although all plugins that may provide it were loaded.

        Raises:
            PluginLoadError: One of the plugins that probably provide it is broken.
        """
        failures, policies = self._loaded.failures, self._policies()
        noun, name, owner = query.noun, query.name, query.owner
        installed = [entry for entry in self._discovery.installed() if entry.belongs_to(owner)]
        likely = installed if owner else list(filter(query.is_likely, installed))
        for entry in likely:
            if entry in failures:
                raise errors.broken_plugin_error(entry, failures[entry])
        for entry in likely:
            if refusal := _refusal(policies, entry.distribution):
                return HandlerNotFoundError(
                    f"The {noun} {name!r} comes with {entry.owner}, but {refusal}. Allow it there, or use another one."
                )
        if owner is not None:
            provided = [item for entry in likely for item in self._loaded.registrations.get(entry, ())]
            return HandlerNotFoundError(errors.not_provided_message(owner, noun, name, provided))
        if package := package_to_install(query.names):
            return HandlerNotFoundError(errors.not_installed_message(noun, name, package))
        known = map(query.name_of, self._loaded.of_kind(query.kind, self._entries))
        error = HandlerNotFoundError(errors.unknown_message(noun, name, known, failures))
        error.is_unknown = True
        error.__cause__ = next((errors.broken_plugin_error(*failure) for failure in failures.items()), None)
        return error

    def _pinned(self, name: str) -> str | None:
        return next((policy.pin[name] for policy in self._policies() if name in policy.pin), None)

    def _is_pinned(self, item: Registration[Any]) -> bool:
        owner = self._pinned(item.spec.name)
        return owner is not None and same_distribution(item.distribution, owner)

    def _status(self, entry: PluginEntry) -> PluginStatus:
        state, error, provides, warnings, unusable = "not loaded", None, [], [], []
        causes: tuple[str, ...] = ()
        loaded = self._loaded
        refusal = None if entry.module is not None else _refusal(self._policies(), entry.distribution)
        if refusal is not None:
            state, error = "denied", refusal
        elif entry in loaded.failures:
            state, error = "broken", str(errors.broken_plugin_error(entry, loaded.failures[entry]))
            causes = errors.exception_chain(loaded.failures[entry])
        elif entry.problem:
            state, error = "broken", entry.problem
        elif entry in loaded.registrations:
            state, provides, warnings = "loaded", self._provides(entry), self._warnings(entry)
            registrations = loaded.registrations[entry]
            failed = [item for item in registrations if item in loaded.target_errors]
            unusable = [_described(item) for item in failed]
            failures = [loaded.target_errors[item].__cause__ for item in failed]
            causes = tuple(line for failure in failures for line in errors.exception_chain(failure))
        groups = tuple(sorted(entry.groups))
        owner = (entry.distribution, entry.version, entry.name)
        return PluginStatus(
            *owner, state, error, tuple(provides), tuple(warnings), groups, tuple(unusable), causes
        )

    def _provides(self, entry: PluginEntry) -> list[str]:
        hooks = {
            name for group in (OBSERVERS, RESOLVE) if group in entry.groups for name in ANNOUNCED_HOOKS[group]
        }
        return [
            *(
                _described(item)
                for item in self._loaded.registrations[entry]
                if not isinstance(item.spec, CommandSpec) or COMMANDS in entry.groups
            ),
            *(f"hook {name}" for name in sorted(hooks & self._loaded.hook_names(entry))),
        ]

    def _warnings(self, entry: PluginEntry) -> list[str]:
        siblings = {
            item.name
            for item in self._entries
            if item.distribution == entry.distribution and ENTRY_POINT_GROUP in item.groups
        }
        warnings = self._loaded.warnings(entry, siblings)
        for item in self._loaded.registrations[entry]:
            kind = type(item.spec)
            if kind is not CommandSpec and self._pinned(item.spec.name) is None:
                claims = [
                    claim
                    for claim in self._loaded.of_kind(kind, self._entries)
                    if claim.spec.name == item.spec.name
                ]
                if len({claim.spec.target for claim in claims}) > 1:
                    warnings.append(errors.conflict_message(KINDS[kind], item.spec.name, claims))
        return warnings


def _only(kind: str, name: str, matches: list[Registration[RecordT]]) -> Registration[RecordT]:
    if len({item.spec.target for item in matches}) > 1:
        raise ConfigurationError(errors.conflict_message(kind, name, matches))
    return matches[0]


def _refusal(policies: Iterable[PluginPolicy], distribution: str) -> str | None:
    refusals = (policy.refusal(distribution) for policy in policies)
    return next((refusal for refusal in refusals if refusal is not None), None)


_registry: PluginRegistry | None = None
_registry_lock = RLock()


def get_registry() -> PluginRegistry:
    """Return the registry of this process, created on first use."""
    global _registry
    if _registry is None:
        with _registry_lock:
            if _registry is None:
                _registry = PluginRegistry()
    return _registry
