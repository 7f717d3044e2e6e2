"""Handlers by name, and which asset gets which: a configuration for one environment."""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING, Any

from rivers_core._suggestions import did_you_mean
from rivers_core.config.building import Draft, FieldValue, draft, refused
from rivers_core.config.layers import HandlerTable, Origin
from rivers_core.config.patterns import most_specific
from rivers_core.exceptions import ConfigurationError, HandlerNotFoundError, RiversError
from rivers_core.redaction import redact_value

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rivers_core.config.document import Document
    from rivers_core.handler import BaseIOHandler
    from rivers_core.plugins import PluginRegistry


class Config:
    """A configuration for one environment; `load_config` makes it.

    Handlers are built when they are first asked for, once, and shared. What is wrong with the file shows in
    `findings()`, and when something of it is used; `check()` raises all of it.

    Args:
        document: What the configuration says.
        root: What relative locations are relative to.
        registry: Where handler classes are looked up, under the rules of this configuration.
        path: The file; None if there is none.
        environment: The environment; None for the base.

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
        self._built: dict[str, BaseIOHandler] = dict(document.instances)
        self._building: list[str] = []
        self._lock = RLock()

    @property
    def registry(self) -> PluginRegistry:
        """The plugins, under the rules of this configuration."""
        return self._registry

    @property
    def repository(self) -> str | None:
        """What the command line loads: `"package.module:name"`."""
        return self._document.repository

    @property
    def default_io_handler(self) -> str | None:
        """The handler of assets that no pattern matches."""
        return self._document.default_io_handler

    @property
    def handler_names(self) -> list[str]:
        """The configured handlers, sorted."""
        return sorted({*self._document.handlers, *self._document.instances})

    @property
    def rules(self) -> dict[str, str]:
        """Pattern of asset names to handler name, as written."""
        return dict(self._document.rules)

    def has_handler(self, name: str) -> bool:
        """Whether a handler is configured under this name.

        Args:
            name: The name.

        Returns:
            True if it is, rightly or wrongly.
        """
        return name in self._document.handlers or name in self._document.instances

    def handler(self, name: str, **settings: Any) -> BaseIOHandler:
        """A configured handler.

        Args:
            name: Its name in the configuration.
            settings: Values that go before all others; the handler is then a new one and not shared.

        Returns:
            The handler; the same one every time.

        Raises:
            HandlerNotFoundError: Nothing is configured under this name.
            ConfigurationError: It is not configured correctly; with every finding about it.
        """
        with self._lock:
            if settings:
                return self._build(name, settings)
            if name not in self._built:
                self._built[name] = self._build(name, {})
            return self._built[name]

    def fields(self, name: str) -> list[FieldValue]:
        """Every field of a configured handler, with its effective value and where that comes from.

        Args:
            name: Its name in the configuration.

        Returns:
            `(field, value, origin)`; credentials are masked.

        Raises:
            HandlerNotFoundError: Nothing is configured under this name.
            ConfigurationError: Its class cannot be found.
        """
        with self._lock:
            if name in self._document.instances:
                instance = self._document.instances[name]
                kept = instance.configuration()[1]
                return [
                    FieldValue(field, redact_value(value, field), "code") for field, value in kept.items()
                ]
            return list(self._draft(name, {}).fields())

    def rule_for(self, asset_name: str) -> tuple[str, str] | None:
        """The most specific pattern that matches an asset.

        Args:
            asset_name: The asset.

        Returns:
            Pattern and handler name; None if no pattern matches.

        Raises:
            ConfigurationError: Two patterns that are equally specific name different handlers.
        """
        return most_specific(self._document.rules, asset_name, self._document.place("assets"))

    def findings(self) -> list[str]:
        """Everything that is wrong; imports the classes of all configured handlers and builds them.

        Returns:
            One sentence each, with file, table and key.
        """
        found = list(self._document.findings)
        for name in sorted(self._document.handlers):
            try:
                self.handler(name)
            except ConfigurationError as error:
                found.extend(error.findings or (str(error),))
        found.extend(self._unknown_names())
        return list(dict.fromkeys(found))

    def check(self) -> None:
        """Raise everything that is wrong.

        Raises:
            ConfigurationError: With all findings.
        """
        found = self.findings()
        if found:
            raise ConfigurationError(f"{self._document.label} cannot be used as it is:", found)

    def __repr__(self) -> str:
        environment = "" if self.environment is None else f", environment={self.environment!r}"
        return f"Config({self._document.label!r}{environment}, handlers={self.handler_names})"

    def _build(self, name: str, settings: dict[str, Any]) -> BaseIOHandler:
        if name in self._building:
            circle = " -> ".join([*self._building[self._building.index(name) :], name])
            raise ConfigurationError(f"the handlers refer to each other in a circle: {circle}.")
        self._building.append(name)
        try:
            return self._draft(name, settings).build()
        finally:
            self._building.pop()

    def _draft(self, name: str, settings: dict[str, Any]) -> Draft:
        if not self.has_handler(name):
            known = ", ".join(self.handler_names) or "none"
            raise HandlerNotFoundError(
                f"{self._document.label} does not configure the IO handler {name!r}."
                f"{did_you_mean(name, self.handler_names)} It configures: {known}."
            )
        if name in self._document.instances:
            raise refused(name, [f"{name!r} is an instance; its settings cannot be changed here."])
        table = self._document.handlers[name]
        if settings:
            table = table.copy()
            table.lay(settings, Origin("code", "in code"))
        return draft(table, self.root, self._registry, self._reference)

    def _reference(self, name: str) -> BaseIOHandler:
        if self.has_handler(name):
            return self.handler(name)
        if name not in self._built:
            origin = Origin("code", f"the handler {name!r}, which is not configured")
            self._missing_reference(name)
            table = HandlerTable(name, origin, use=name, use_origin=origin)
            self._built[name] = draft(table, self.root, self._registry, self._reference).build()
        return self._built[name]

    def _missing_reference(self, name: str) -> None:
        try:
            self._registry.handler_spec(name)
        except HandlerNotFoundError as error:
            raise HandlerNotFoundError(self._unconfigured(name, error)) from error

    def _unconfigured(self, name: str, error: RiversError) -> str:
        if not getattr(error, "is_unknown", False):
            return str(error)
        installed = sorted({provided.spec.name for provided in self._registry.handlers()})
        return (
            f"IO handler {name!r} not found.{did_you_mean(name, [*self.handler_names, *installed])} "
            f"Configured: {', '.join(self.handler_names) or 'none'}. Installed: {', '.join(installed) or 'none'}."
        )

    def _unknown_names(self) -> Iterator[str]:
        document = self._document
        named = [(document.default_io_handler, document.default_origin, "default_io_handler")]
        named += [(name, document.rule_origins[rule], f'"{rule}"') for rule, name in document.rules.items()]
        for name, origin, key in named:
            if name is None or origin is None or self.has_handler(name):
                continue
            try:
                self._registry.handler_spec(name)
            except RiversError as error:
                yield f"{origin.key(key)}: {self._unconfigured(name, error)}"
