"""Load a configuration for one environment: handlers by name, and the handler of each asset."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, TypeVar

from rivers_core._messages import did_you_mean
from rivers_core.config.parser import (
    RULE_HANDLER,
    RULE_METADATA,
    Document,
    HandlerSettings,
    check_depth,
    join_key,
    open_config,
    problems,
)
from rivers_core.config.resolve import ResolvedSettings, resolve
from rivers_core.config.sources import add_variables, find_ambiguous_names, read_dotenv, select_environment
from rivers_core.exceptions import ConfigurationError, HandlerNotFoundError, RiversError
from rivers_core.plugins import get_registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rivers_core.config.parser import Setting
    from rivers_core.config.resolve import FieldValue
    from rivers_core.handler import BaseIOHandler
    from rivers_core.plugins import PluginRegistry


ValueT = TypeVar("ValueT")

_WILDCARD: Final = re.compile(r"\*|\?|\[[^]]+\]")


class Config:
    """A configuration for one environment, returned by `load_config`.

    A handler is built when it is first requested, once, and shared. Problems are reported by `findings()` and when
    the affected part is used; `check()` raises all of them.

    Args:
        document: The parsed configuration.
        root: Folder that relative locations are relative to.
        registry: Registry to look handler classes up in, under the plugin policy of this configuration.
        path: The file; None if there is none.
        environment: Name of the environment; None for the base.

    Examples:
        >>> from rivers_core import load_config
        >>> config = load_config({"io_handlers": {"scratch": {"use": "memory"}}, "assets": {"raw_*": "scratch"}})
        >>> config.handler("scratch") is config.handler("scratch")
        True
        >>> config.rule_for("raw_orders")
        ('raw_*', 'scratch')
    """

    def __init__(
        self,
        document: Document,
        root: Path,
        registry: PluginRegistry,
        path: Path | None = None,
        environment: str | None = None,
    ) -> None:
        self.path = path
        self.root = root
        self.environment = environment
        self._document = document
        self._registry = registry
        self._handlers: dict[str, BaseIOHandler] = {}
        self._building: list[str] = []
        self._lock = RLock()

    @property
    def registry(self) -> PluginRegistry:
        """Registry of plugins, under the policy of this configuration."""
        return self._registry

    @property
    def repository(self) -> str | None:
        """Repository that the command line loads: `"package.module:name"`."""
        return self._name("repository")

    @property
    def default_io_handler(self) -> str | None:
        """Name of the handler of assets that no pattern matches."""
        return self._name("default_io_handler")

    @property
    def default_executor(self) -> str | None:
        """Name of the executor of runs that do not set their own."""
        return self._name("default_executor")

    @property
    def durable(self) -> bool:
        """True if every write on a local disk is flushed before it returns."""
        setting = self._document.durable
        return setting is not None and bool(setting.value)

    @property
    def storage_url(self) -> str | None:
        """URL or folder of the event log; None for the default, `.rivers` beside the configuration.

        Raises:
            ConfigurationError: A variable in it is not set, or it contains a password.
        """
        setting = self._document.storage.get("url")
        return None if setting is None else self._usable(setting).value

    @property
    def storage_durable(self) -> bool:
        """Whether the event log is durable: its own setting, else that of the configuration."""
        setting = self._document.storage.get("durable")
        return self.durable if setting is None else bool(setting.value)

    @property
    def executor_names(self) -> list[str]:
        """Names of the configured executors, sorted."""
        return sorted(self._document.executors)

    def executor(self, name: str) -> tuple[str, dict[str, Any]] | None:
        """Return the registered name and the arguments of a configured executor; None if it is not configured.

        Args:
            name: Its name in the configuration.

        Raises:
            ConfigurationError: A variable in its settings is not set, or `use` is missing or not a name.
        """
        fields = self._document.executors.get(name)
        if fields is None:
            return None
        values = {key: self._usable(setting).value for key, setting in fields.items()}
        kind = values.pop("use", None)
        if not isinstance(kind, str):
            raise ConfigurationError(
                f"{self._document.place(f'executors.{name}')}: `use` must be the name of an executor, got {kind!r}."
            )
        return kind, values

    def place_of_executor(self, name: str) -> str:
        """Return file and table of an executor for messages, such as `rivers.toml [executors.big]`.

        Args:
            name: Its name in the configuration.
        """
        return self._document.place(f"executors.{name}")

    @property
    def handler_names(self) -> list[str]:
        """Names of the configured handlers, sorted."""
        return sorted(self._document.handlers)

    @property
    def rules(self) -> dict[str, str]:
        """Pattern of asset names to handler name."""
        return {pattern: setting.value for pattern, setting in self._rule_settings(RULE_HANDLER).items()}

    @property
    def metadata_rules(self) -> dict[str, dict[str, Any]]:
        """Pattern of asset names to the metadata that it sets."""
        rules = {
            pattern: {path[1]: setting.value for path, setting in fields.items() if path[0] == RULE_METADATA}
            for pattern, fields in self._document.rules.items()
        }
        return {pattern: metadata for pattern, metadata in rules.items() if metadata}

    def has_handler(self, name: str) -> bool:
        """Return whether a handler is configured under this name, valid or not.

        Args:
            name: The name.
        """
        return name in self._document.handlers

    def handler(self, name: str, **settings: Any) -> BaseIOHandler:
        """Return a configured handler, the same object on every call.

        Args:
            name: Its name in the configuration.
            settings: Values that take precedence over all others; the handler is then a new one and not shared.

        Raises:
            HandlerNotFoundError: No handler is configured under this name.
            ConfigurationError: Its settings are invalid; with all findings about it.
        """
        with self._lock:
            if settings:
                return self._build(name, settings)
            if name not in self._handlers:
                self._handlers[name] = self._build(name, {})
            return self._handlers[name]

    def fields(self, name: str) -> list[FieldValue]:
        """Return every field of a configured handler with its effective value and origin; secrets are redacted.

        Args:
            name: Its name in the configuration.

        Raises:
            HandlerNotFoundError: No handler is configured under this name.
            ConfigurationError: Its class is not available.
        """
        with self._lock:
            return list(self._resolve(name, {}).fields())

    def rule_for(self, asset_name: str) -> tuple[str, str] | None:
        """Return the most specific pattern that names a handler for an asset, and its name; None without a match.

        Args:
            asset_name: The asset.

        Raises:
            ConfigurationError: Two equally specific patterns name different handlers, or a variable is not set.
        """
        return self._rule(RULE_HANDLER, asset_name)

    def metadata_for(self, asset_name: str) -> dict[str, Any]:
        """Return the metadata that patterns set for an asset, each key from the most specific pattern that sets it.

        Args:
            asset_name: The asset.

        Raises:
            ConfigurationError: Two equally specific patterns set a key to different values, or a variable is not set.
        """
        fields = {field: None for rule in self._document.rules.values() for field in rule}
        rules = {field[1]: self._rule(field, asset_name) for field in fields if field[0] == RULE_METADATA}
        return {key: deepcopy(rule[1]) for key, rule in rules.items() if rule is not None}

    def findings(self) -> list[str]:
        """Build all configured handlers and return one sentence per problem, with file, table and key."""
        document = self._document
        settings = [
            *document.names.values(),
            *document.storage.values(),
            *(item for fields in document.executors.values() for item in fields.values()),
            *(item for rule in document.rules.values() for item in rule.values()),
        ]
        findings = [*document.findings, *(setting.finding for setting in settings if setting.problem)]
        for name in sorted(self._document.handlers):
            try:
                self.handler(name)
            except ConfigurationError as error:
                findings.extend(error.findings or (str(error),))
        findings.extend(self._unknown_handlers())
        return list(dict.fromkeys(findings))

    def check(self) -> None:
        """Raise a `ConfigurationError` with all findings, if there are any."""
        findings = self.findings()
        if findings:
            raise ConfigurationError(f"{problems(findings)} in {self._document.label}:", findings)

    def __repr__(self) -> str:
        environment = "" if self.environment is None else f", environment={self.environment!r}"
        return f"Config({self._document.label!r}{environment}, handlers={self.handler_names})"

    def _name(self, key: str) -> str | None:
        setting = self._document.names.get(key)
        return None if setting is None else self._usable(setting).value

    def _rule(self, field: tuple[str, ...], asset_name: str) -> tuple[str, Any] | None:
        """Return pattern and value of the rule that decides on a field of an asset."""
        settings = self._rule_settings(field)
        values = {pattern: setting.value for pattern, setting in settings.items()}
        rule = most_specific(values, asset_name, join_key(self._document.place("assets"), *field[1:]))
        if rule is not None:
            self._usable(settings[rule[0]])
        return rule

    def _rule_settings(self, field: tuple[str, ...]) -> dict[str, Setting]:
        return {pattern: rule[field] for pattern, rule in self._document.rules.items() if field in rule}

    def _usable(self, setting: Setting) -> Setting:
        if setting.problem:
            raise ConfigurationError(
                f"{problems([setting.finding])} in {self._document.label}:", [setting.finding]
            )
        return setting

    def _build(self, name: str, settings: dict[str, Any]) -> BaseIOHandler:
        if name in self._building:
            circle = " -> ".join([*self._building[self._building.index(name) :], name])
            raise ConfigurationError(
                f"IO handlers refer to each other in a circle: {circle}. Remove one of these references."
            )
        self._building.append(name)
        try:
            return self._resolve(name, settings).build()
        finally:
            self._building.pop()

    def _resolve(self, name: str, settings: dict[str, Any]) -> ResolvedSettings:
        if not self.has_handler(name):
            raise HandlerNotFoundError(
                f"{self._document.label} does not configure the IO handler {name!r}."
                f"{did_you_mean(name, self.handler_names)} It configures: {', '.join(self.handler_names) or 'none'}."
            )
        sources = [*self._document.handlers[name]]
        if settings:
            sources.append(HandlerSettings.from_table(settings, "code", "code"))
        document = self._document
        return resolve(
            name, sources, self.root, self._registry, self._find_handler, document.dotenv, document.durable
        )

    def _find_handler(self, name: str) -> BaseIOHandler:
        """Return the handler that a field names: a configured one, or an installed one without settings."""
        if self.has_handler(name):
            return self.handler(name)
        if name not in self._handlers:
            try:
                self._registry.handler_spec(name)
            except HandlerNotFoundError as error:
                raise HandlerNotFoundError(self._not_found(name, error)) from error
            source = HandlerSettings("code", f"IO handler {name!r} (not configured)", name, [])
            settings = resolve(
                name, [source], self.root, self._registry, self._find_handler, self._document.dotenv
            )
            self._handlers[name] = settings.build()
        return self._handlers[name]

    def _not_found(self, name: str, error: RiversError) -> str:
        if not getattr(error, "is_unknown", False):
            return str(error)
        installed = sorted({item.spec.name for item in self._registry.handlers()})
        return (
            f"IO handler {name!r} not found.{did_you_mean(name, [*self.handler_names, *installed])} "
            f"Configured: {', '.join(self.handler_names) or 'none'}. Installed: {', '.join(installed) or 'none'}."
        )

    def _unknown_handlers(self) -> Iterator[str]:
        settings = list(self._rule_settings(RULE_HANDLER).values())
        settings += [item for key, item in self._document.names.items() if key == "default_io_handler"]
        for setting in settings:
            if not setting.problem and not self.has_handler(setting.value):
                try:
                    self._registry.handler_spec(setting.value)
                except RiversError as error:
                    yield replace(setting, problem=self._not_found(setting.value, error)).finding


def load_config(
    path: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    *,
    environment: str | None = None,
    root: str | os.PathLike[str] | None = None,
    registry: PluginRegistry | None = None,
) -> Config:
    """Load a configuration for one environment.

    Sources of a handler's settings, the first takes precedence: arguments of `Config.handler`, variables
    `RIVERS_IO_HANDLERS__<NAME>__<FIELD>`, the same variables in the `.env` next to the file, the file, defaults.

    Args:
        path: A file, its folder, or the tables as a mapping. None finds the file from the current folder upwards,
            and returns an empty configuration if there is none.
        environment: Name of a table below `[environments]`; None reads `RIVERS_ENV`.
        root: Folder that relative locations are relative to; None is the folder of the file.
        registry: Registry to look handler classes up in; None is the registry of the process. The configuration uses
            it under its own `[plugins]` policy. Direct users of the registry get the policy of the configuration that
            was loaded last.

    Returns:
        The configuration. Problems of its values are reported by `Config.findings` and when they are used.

    Raises:
        ConfigurationError: The file does not exist, is not valid TOML, or does not have this environment.

    Examples:
        >>> config = load_config({"io_handlers": {"scratch": {"use": "memory"}}})
        >>> config.handler("scratch")
        InMemoryIOHandler()
    """
    file, tables = (
        (None, check_depth(path, "the configuration")) if isinstance(path, Mapping) else open_config(path)
    )
    folder = Path(root).expanduser().absolute() if root is not None else file.parent if file else Path.cwd()
    dotenv = read_dotenv(folder)
    selected_by = "given as an argument"
    is_empty = file is None and not tables
    if not environment:
        environment, selected_by = (None, "") if is_empty else select_environment(dotenv)
    document = Document.for_file(file, lambda name: os.environ.get(name, dotenv.get(name)))
    document.dotenv = dotenv
    document.add(tables, environment, selected_by)
    findings = [*find_ambiguous_names(document), *add_variables(document, dotenv)]
    if not is_empty:
        document.findings.extend(findings)
    registry = registry or get_registry()
    own_registry = registry.with_policy(**document.plugins, source=document.label)
    registry.adopt_policy(own_registry)
    return Config(document, folder, own_registry, file, environment)


def specificity(pattern: str) -> tuple[bool, int, int, int]:
    """Return how specific a pattern is, as a key to compare; greater is more specific.

    A name without wildcards takes precedence, then the pattern with more literal characters, then the one with
    fewer `*`, then the one with fewer other wildcards.

    Args:
        pattern: A name with `*`, `?` and `[...]`.
    """
    wildcards = _WILDCARD.findall(pattern)
    stars = wildcards.count("*")
    literals = len(_WILDCARD.sub("", pattern))
    return not wildcards, literals, -stars, stars - len(wildcards)


def most_specific(rules: Mapping[str, ValueT], asset_name: str, place: str) -> tuple[str, ValueT] | None:
    """Return pattern and value of the rule that applies to an asset; None if no pattern matches.

    Args:
        rules: Pattern to value, such as the name of a handler.
        asset_name: The asset.
        place: File and table of the rules, for the message.

    Raises:
        ConfigurationError: Two equally specific patterns have different values.
    """
    matches = sorted(pattern for pattern in rules if fnmatchcase(asset_name, pattern))
    if not matches:
        return None
    best = max(map(specificity, matches))
    winners = [pattern for pattern in matches if specificity(pattern) == best]
    if any(rules[pattern] != rules[winners[0]] for pattern in winners):
        conflict = " and ".join(f"{pattern!r} = {rules[pattern]!r}" for pattern in winners)
        raise ConfigurationError(
            f"{place}: {conflict} match asset {asset_name!r} and are equally specific. "
            f"Use a pattern with more literal characters, or the name."
        )
    return winners[0], rules[winners[0]]
