"""`rivers config`."""

from __future__ import annotations

import typer

from rivers_cli.command import Command, Group
from rivers_cli.options import AsJson

app = typer.Typer(cls=Group, rich_markup_mode=None, add_completion=False, no_args_is_help=True)


@app.callback()
def config() -> None:
    """Show the configuration that is in force, or a schema of it for editors.

    Examples:
      $ rivers config show --env prod
      $ rivers config schema > rivers.schema.json
    """


@app.command(cls=Command)
def schema(context: typer.Context) -> None:
    """Print the JSON Schema of rivers.toml, with the settings of every installed handler.

    An editor that knows TOML completes and checks with it: name it in the first line of the file.

    Examples:
      $ rivers config schema > rivers.schema.json
      $ sed -i '1i #:schema ./rivers.schema.json' rivers.toml
    """
    from rivers_cli.config_schema import json_schema
    from rivers_cli.output import print_document

    _ = context.obj.project.config  # its rules are in force from here on
    print_document(json_schema())


@app.command(cls=Command)
def show(context: typer.Context, as_json: AsJson = False) -> None:
    """Show which file is used, in which environment, and what it says; secrets are never shown.

    Examples:
      $ rivers config show
      $ rivers config show --env prod --json
    """
    from rivers_cli.handlers import shown
    from rivers_cli.output import Column, print_document, print_table
    from rivers_cli.problems import UsageProblemError

    config = context.obj.project.config
    if config is None:
        raise UsageProblemError("There is no rivers.toml here or above; `rivers new NAME` starts a project.")
    config.check()
    fields = {name: config.fields(name) for name in config.handler_names}
    if as_json:
        print_document(
            {
                "path": str(config.path),
                "environment": config.environment,
                "repository": config.repository,
                "default_io_handler": config.default_io_handler,
                "assets": config.rules,
                "io_handlers": {
                    name: [{"field": f, "value": shown(v), "origin": o} for f, v, o in of_handler]
                    for name, of_handler in fields.items()
                },
            }
        )
        return
    print(f"{config.path}, environment: {config.environment or 'none'}")
    print(f"repository: {config.repository or 'none'}")
    print(f"default_io_handler: {config.default_io_handler or 'none'}\n")
    columns = [Column("Handler"), Column("Setting"), Column("Value", wraps=True), Column("From")]
    rows = [(name, f, shown(v), o) for name, of_handler in fields.items() for f, v, o in of_handler]
    print_table(columns, rows)
    if config.rules:
        print()
        print_table([Column("Assets"), Column("Handler")], list(config.rules.items()))
