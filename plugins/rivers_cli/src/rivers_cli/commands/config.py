"""`rivers config`: show the configuration, print its JSON Schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from rivers.inspection.handlers import format_setting
from rivers.inspection.settings import config_document
from rivers_cli.errors import UsageError
from rivers_cli.lazy_group import Command, Group
from rivers_cli.options import AsJson
from rivers_cli.output import Column, print_document, print_table

if TYPE_CHECKING:
    pass

app = typer.Typer(cls=Group, rich_markup_mode=None, add_completion=False, no_args_is_help=True)


@app.callback()
def config() -> None:
    """Show the effective configuration, or print its JSON Schema for editors.

    Examples:
      $ rivers config show --env prod
      $ rivers config schema > rivers.schema.json
    """


@app.command(cls=Command)
def schema(context: typer.Context) -> None:
    """Print the JSON Schema of rivers.toml, with the settings of every installed handler.

    Editors that support TOML schemas use it for completion and validation, if the first line of the file names it.

    Examples:
      $ rivers config schema > rivers.schema.json
      $ sed -i '1i #:schema ./rivers.schema.json' rivers.toml
    """
    from rivers_cli.config_schema import json_schema

    _ = context.obj.project.config  # puts its plugin policy in force
    print_document(json_schema())


@app.command(cls=Command)
def show(context: typer.Context, as_json: AsJson = False) -> None:
    """Show the configuration file, its environment and its settings; secrets are redacted.

    Examples:
      $ rivers config show
      $ rivers config show --env prod --json
    """
    from rivers_core.authoring import redact, redact_value

    config = context.obj.project.config
    if config is None:
        raise UsageError(
            "rivers.toml not found in this folder or its parents. Create a project with `rivers new NAME`."
        )
    config.check()
    handlers = {name: config.fields(name) for name in config.handler_names}
    metadata = redact_value(config.metadata_rules)
    if as_json:
        print_document(config_document(config))
        return
    print(f"{config.path}, environment: {config.environment or 'none'}")
    print(f"repository: {config.repository or 'none'}")
    print(f"default_io_handler: {config.default_io_handler or 'none'}")
    print(f"default_executor: {config.default_executor or 'in_process'}")
    print(f"durable: {'yes' if config.durable else 'no'}")
    print(f"storage: {redact(config.storage_url or '.rivers')}\n")
    columns = [Column("Handler"), Column("Setting"), Column("Value", wraps=True), Column("Origin")]
    rows = [
        (name, item.field, format_setting(item.value), item.origin)
        for name, fields in handlers.items()
        for item in fields
    ]
    print_table(columns, rows)
    if config.rules:
        print()
        print_table([Column("Assets"), Column("Handler")], list(config.rules.items()))
    if metadata:
        print()
        values = [
            (pattern, key, format_setting(value))
            for pattern, keys in metadata.items()
            for key, value in keys.items()
        ]
        print_table([Column("Assets"), Column("Metadata"), Column("Value", wraps=True)], values)
