"""Configuration and plugins as JSON documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rivers.inspection.handlers import format_setting

if TYPE_CHECKING:
    from rivers_core.config import Config
    from rivers_core.plugins import PluginStatus


def config_document(config: Config) -> dict[str, Any]:
    """Return a configuration as a JSON document, without secrets.

    Args:
        config: The configuration.
    """
    from rivers_core.authoring import redact, redact_value

    return {
        "path": str(config.path),
        "environment": config.environment,
        "repository": config.repository,
        "default_io_handler": config.default_io_handler,
        "default_executor": config.default_executor,
        "durable": config.durable,
        "storage": {
            "url": None if config.storage_url is None else redact(config.storage_url),
            "durable": config.storage_durable,
        },
        "assets": config.rules,
        "asset_metadata": redact_value(config.metadata_rules),
        "io_handlers": {
            name: [
                {"field": item.field, "value": format_setting(item.value), "origin": item.origin}
                for item in config.fields(name)
            ]
            for name in config.handler_names
        },
    }


def plugin_document(status: PluginStatus) -> dict[str, Any]:
    """Return a plugin as a JSON document, without remarks."""
    return {
        "distribution": status.distribution,
        "version": status.version,
        "entry_point": status.entry_point,
        "state": status.state,
        "provides": list(status.provides),
        "error": status.error,
        "causes": list(status.causes),
    }
