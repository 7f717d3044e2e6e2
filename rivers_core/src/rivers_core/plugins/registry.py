"""Who provides what: handlers, executors and commands by name, from whatever is installed."""

from __future__ import annotations

from copy import copy
from threading import RLock
from typing import TYPE_CHECKING, Any

from rivers_core.hooks.observers import Observers, freeze_observers
from rivers_core.plugins import asking
from rivers_core.plugins.catalog import Catalog
from rivers_core.plugins.rules import PluginRules
from rivers_core.plugins.spec import CommandSpec, ExecutorSpec, HandlerSpec
from rivers_core.plugins.stock import Stock
from rivers_core.plugins.targets import class_of, handler_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rivers_core.handler import BaseIOHandler
    from rivers_core.plugins.states import PluginStatus, Registration


class PluginRegistry:
    """Finds plugins by their entry points and loads no more of them than a question needs.

    Args:
        entry_points: Use these instead of the installed ones.
        allow: Patterns of distributions that may be imported; None allows all.
        deny: Patterns of distributions that may not.
        pin: Name to the distribution that provides it.
        strict: Whether a broken plugin is an error at once; None asks `RIVERS_STRICT_PLUGINS`.

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
    ) -> None:
        self._stock = Stock(entry_points, PluginRules.of("code", allow, deny, pin))
        self._catalog = Catalog(self._stock, strict)
        self._lock = RLock()

    def handler(self, name: str) -> type[BaseIOHandler]:
        """The class of the handler with this name.

        Args:
            name: A name, or `distribution:name`.

        Returns:
            The class; its module is imported now.

        Raises:
            HandlerNotFoundError: Nobody provides it, or what provides it is not installed or not allowed.
            PluginLoadError: What provides it is broken.
            ConfigurationError: Several packages claim the name.
        """
        return handler_type(self.handler_spec(name))

    def handler_spec(self, name: str) -> Registration[HandlerSpec]:
        """The record of the handler with this name; its target is not imported.

        Args:
            name: A name, or `distribution:name`.

        Returns:
            The record and who provides it.

        Raises:
            HandlerNotFoundError: Nobody provides it, or what provides it is not installed or not allowed.
            PluginLoadError: What provides it is broken.
            ConfigurationError: Several packages claim the name.
        """
        with self._lock:
            return self._catalog.find(HandlerSpec, name)

    def handlers(self) -> list[Registration[HandlerSpec]]:
        """Every handler there is, sorted by name; loads all plugin modules and no target.

        Returns:
            Records; a name that two packages claim is there twice.
        """
        with self._lock:
            return self._catalog.all(HandlerSpec)

    def executor(self, name: str) -> type:
        """The class of the executor with this name.

        Args:
            name: A name, or `distribution:name`.

        Returns:
            The class; its module is imported now.

        Raises:
            HandlerNotFoundError: Nobody provides it, or what provides it is not installed or not allowed.
            PluginLoadError: What provides it is broken.
            ConfigurationError: Several packages claim the name.
        """
        with self._lock:
            provided = self._catalog.find(ExecutorSpec, name)
        return class_of(provided)

    def executors(self) -> list[Registration[ExecutorSpec]]:
        """Every executor there is, sorted by name; loads all plugin modules and no target.

        Returns:
            Records.
        """
        with self._lock:
            return self._catalog.all(ExecutorSpec)

    def commands(self) -> list[Registration[CommandSpec]]:
        """Every command that plugins add to `rivers`, sorted by name; no target is imported.

        Returns:
            Records.
        """
        with self._lock:
            return self._catalog.all(CommandSpec)

    def handler_class(self, class_name: str) -> type[BaseIOHandler]:
        """The handler class of this name, as in `rs.PickleIOHandler`.

        Args:
            class_name: The class name that some handler's target ends with.

        Returns:
            The class; its module is imported now.

        Raises:
            AttributeError: No handler has such a class; says what to install or what there is.
            PluginLoadError: What provides it is broken.
        """
        with self._lock:
            provided = self._catalog.find_class(class_name)
        return handler_type(provided)

    def plugins(self) -> list[PluginStatus]:
        """Every plugin and how it is; imports nothing.

        Returns:
            States, sorted by distribution and entry point.
        """
        with self._lock:
            return self._catalog.states()

    def load_all(self) -> None:
        """Load every allowed plugin module, which the hooks other than the records need.

        Raises:
            PluginLoadError: A plugin is broken and the registry is strict.
        """
        with self._lock:
            self._catalog.load_all()

    def observers(self) -> Observers:
        """Who watches runs, frozen.

        Returns:
            Functions of the plugins that are allowed now.
        """
        self.load_all()
        return freeze_observers(self._catalog.loader.pm)

    def default_io_handler(
        self, asset_name: str, asset_metadata: Mapping[str, Any] | None = None
    ) -> str | BaseIOHandler | None:
        """Ask plugins for the handler of an asset that names none.

        Args:
            asset_name: The asset.
            asset_metadata: Its static metadata.

        Returns:
            The first answer, or None if no plugin has one.

        Raises:
            PluginLoadError: A plugin raised, or answered with something else.
        """
        self.load_all()
        return asking.default_io_handler(self._catalog.loader.pm, asset_name, asset_metadata)

    def wrap(self, handler: BaseIOHandler, asset_name: str) -> BaseIOHandler:
        """Let plugins put handlers of their own around one.

        Args:
            handler: The handler of the asset.
            asset_name: The asset.

        Returns:
            The outermost handler; the same one if no plugin wants anything.

        Raises:
            PluginLoadError: A plugin raised, or answered with something that is no handler.
        """
        self.load_all()
        return asking.wrapped(self._catalog.loader.pm, handler, asset_name)

    def register(self, module: object, name: str) -> None:
        """Add a plugin of this process, for notebooks and tests.

        Args:
            module: A module, or another object with hook implementations.
            name: Stands in for the distribution.

        Raises:
            PluginLoadError: It is broken, or there is one of that name.
        """
        with self._lock:
            self._catalog.register(module, name)

    def unregister(self, name: str) -> None:
        """Remove a plugin of this process.

        Args:
            name: The name it was registered under; nothing happens if there is none.
        """
        with self._lock:
            self._catalog.unregister(name)

    def configure(
        self,
        allow: Iterable[str] | None = None,
        deny: Iterable[str] | None = None,
        pin: Mapping[str, str] | None = None,
        *,
        source: str = "rivers.toml",
    ) -> None:
        """Set the rules of this process; they hold together with those of code and environment.

        A configuration with a `[plugins]` table has rules of its own, which hold in place of these for what it
        configures; see `with_rules`.

        Args:
            allow: Patterns of distributions that may be imported; None allows all.
            deny: Patterns of distributions that may not.
            pin: Name to the distribution that provides it.
            source: Where they stand, for messages. Rules that were set before are replaced.
        """
        with self._lock:
            self._stock.configured = PluginRules.of(source, allow, deny, pin)
            self._catalog.own = None

    def with_rules(
        self,
        allow: Iterable[str] | None = None,
        deny: Iterable[str] | None = None,
        pin: Mapping[str, str] | None = None,
        *,
        source: str = "rivers.toml",
    ) -> PluginRegistry:
        """A registry of the same plugins under rules of its own, which no other registry's can change.

        Args:
            allow: Patterns of distributions that may be imported; None allows all.
            deny: Patterns of distributions that may not.
            pin: Name to the distribution that provides it.
            source: Where they stand, for messages.

        Returns:
            A registry in which these rules hold in place of those of `configure`; without any, those of
            `configure` hold. What is registered in this process with one of the two is there in both.
        """
        rules = PluginRules.of(source, allow, deny, pin)
        registry: PluginRegistry = copy(self)
        registry._catalog = Catalog(
            self._stock, self._catalog.strict, rules if rules.restricts or rules.pin else None
        )
        return registry

    def follow(self, other: PluginRegistry) -> None:
        """Let the rules of another registry hold here, in place of those that were configured before.

        Args:
            other: What `with_rules` gave; one without rules of its own changes nothing.
        """
        if other._catalog.own is not None:
            with self._lock:
                self._catalog.own = other._catalog.own


_registry: PluginRegistry | None = None
_registry_lock = RLock()


def get_registry() -> PluginRegistry:
    """The registry of this process, made when it is first asked for.

    Returns:
        Always the same one.
    """
    global _registry
    if _registry is None:
        with _registry_lock:
            if _registry is None:
                _registry = PluginRegistry()
    return _registry
