"""Bind each asset to its handler, once, when the repository is resolved."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from rivers.graph.plan import HandlerBinding
from rivers.graph.resolve_hooks import ResolveHooks
from rivers_core.authoring import did_you_mean
from rivers_core.exceptions import ConfigurationError, HandlerNotFoundError
from rivers_core.handler import BaseIOHandler, contract_problems

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rivers_core.config import Config
    from rivers_core.plugins import PluginRegistry

LAST_RESORT = "memory"


class HandlerBinder:
    """Bind assets to handlers; a named handler is built once and shared.

    Args:
        registry: Registry in which plugin names are looked up.
        config: Configuration file, if there is one.
        resources: Resources of the repository; a handler among them can be named.
        everywhere: Handler of every asset, which takes precedence over all rules; for tests.
        overrides: Static metadata by name of the asset, which takes precedence over what it declares.
    """

    def __init__(
        self,
        registry: PluginRegistry,
        config: Config | None,
        resources: Mapping[str, Any],
        everywhere: BaseIOHandler | str | None = None,
        overrides: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._registry = registry
        self._config = config
        self._resources = resources
        self._everywhere = everywhere
        self._overrides = overrides or {}
        self._from_plugins: dict[str, BaseIOHandler] = {}
        self._bindings: dict[tuple[int, str, str], HandlerBinding] = {}

    @cached_property
    def _hooks(self) -> ResolveHooks:
        """Hooks of plugins, looked up once for all assets."""
        return ResolveHooks(self._registry)

    def overridden(
        self, resources: Mapping[str, Any], metadata: Mapping[str, Mapping[str, Any]]
    ) -> HandlerBinder:
        """Return a binder that shares the handlers which this one built.

        Args:
            resources: Resources of the repository.
            metadata: Static metadata by name of the asset, which takes precedence over what it declares.
        """
        binder = HandlerBinder(self._registry, self._config, resources, self._everywhere, metadata)
        binder._from_plugins = self._from_plugins
        return binder

    def bind(
        self, asset_name: str, declared: BaseIOHandler | str | None, metadata: Mapping[str, Any]
    ) -> HandlerBinding:
        """Return the handler of one asset or node.

        Order of precedence: the declaration (an instance or a name), a pattern of the configuration, its
        default, the `rivers_default_io_handler` hook, and finally `memory`.

        Args:
            asset_name: Name of the asset or node.
            declared: Value of `io_handler=`.
            metadata: Static metadata of the asset, for the hook.

        Raises:
            HandlerNotFoundError: There is no resource, configuration entry or plugin of this name.
            PluginLoadError: The plugin that provides it is broken.
            ConfigurationError: The handler's settings are not valid.
        """
        where = "on the asset" if self._everywhere is None else "for the whole repository"
        given = declared if self._everywhere is None else self._everywhere
        if isinstance(given, BaseIOHandler):
            return self._wrapped(asset_name, given, type(given).__name__, f"given {where}")
        if given is not None:
            return self._named(asset_name, given, f"named {where}")
        if self._config is not None:
            rule = self._config.rule_for(asset_name)
            if rule is not None:
                return self._named(asset_name, rule[1], f"pattern {rule[0]!r} of the configuration")
            if self._config.default_io_handler is not None:
                return self._named(
                    asset_name, self._config.default_io_handler, "default_io_handler of the configuration"
                )
        offered = self._hooks.default_io_handler(asset_name, metadata)
        if isinstance(offered, BaseIOHandler):
            return self._wrapped(asset_name, offered, type(offered).__name__, "offered by a plugin")
        if offered is not None:
            return self._named(asset_name, offered, "offered by a plugin")
        return self._named(asset_name, LAST_RESORT, "the default")

    def metadata(self, asset_name: str, declared: Mapping[str, Any]) -> dict[str, Any]:
        """Return the static metadata of an asset: what the configuration sets, what the asset declares, the overrides.

        Later ones take precedence.

        Args:
            asset_name: Name of the asset or node.
            declared: Metadata of the asset.

        Raises:
            ConfigurationError: Two equally specific patterns differ, or a variable is not set.
        """
        configured = {} if self._config is None else self._config.metadata_for(asset_name)
        return {**configured, **declared, **self._overrides.get(asset_name, {})}

    def _named(self, asset_name: str, name: str, reason: str) -> HandlerBinding:
        resource = self._resources.get(name)
        if isinstance(resource, BaseIOHandler):
            return self._wrapped(asset_name, resource, name, f"{reason}, a resource")
        if self._config is not None and self._config.has_handler(name):
            return self._wrapped(asset_name, self._config.handler(name), name, f"{reason}, configured")
        if name not in self._from_plugins:
            self._from_plugins[name] = self._build(name)
        return self._wrapped(asset_name, self._from_plugins[name], name, reason)

    def _build(self, name: str) -> BaseIOHandler:
        handler_class = self._class(name)
        try:
            return handler_class()
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()
            )
            raise ConfigurationError(
                f"cannot build handler {name!r} without settings: {problems}. Pass an instance, or add its settings "
                f"to rivers.toml under [io_handlers.{name}]."
            ) from error

    def _class(self, name: str) -> type[BaseIOHandler]:
        try:
            return self._registry.handler(name)
        except HandlerNotFoundError as error:
            named = [key for key, value in self._resources.items() if isinstance(value, BaseIOHandler)]
            if self._config is not None:
                named += self._config.handler_names
            if not named:
                raise
            raise HandlerNotFoundError(
                f"{error}{did_you_mean(name, named)} This project defines: {', '.join(map(repr, named))}."
            ) from error

    def _wrapped(self, asset_name: str, handler: BaseIOHandler, label: str, reason: str) -> HandlerBinding:
        wrapped = self._hooks.wrap(handler, asset_name)
        key = (id(wrapped), label, reason)  # the binding keeps the handler alive, so that its id stays unique
        binding = self._bindings.get(key)
        if binding is None:
            for handler_class in {type(handler), type(wrapped)}:
                if problems := contract_problems(handler_class):
                    raise ConfigurationError(f"handler {label!r} cannot be used: {' '.join(problems)}")
            binding = self._bindings[key] = HandlerBinding(wrapped, label, reason)
        return binding
