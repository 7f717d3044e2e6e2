"""`rivers handlers`, `rivers handlers show` and `rivers handlers maintain`."""

from __future__ import annotations

from typing import Annotated

import typer

from rivers_cli.command import Command, Group
from rivers_cli.options import AsJson, Assets, HandlerName

app = typer.Typer(cls=Group, rich_markup_mode=None, add_completion=False, invoke_without_command=True)


@app.callback()
def handlers(context: typer.Context, as_json: AsJson = False) -> None:
    """List the handlers that assets of this project can name.

    Those of the configuration come first, then those that the code gives, then what is installed.

    Examples:
      $ rivers handlers
      $ rivers handlers show lake --env prod
    """
    if context.invoked_subcommand is not None:
        return
    from rivers_cli.handlers import listed, usage_in
    from rivers_cli.output import Column, others_to_stderr, print_document, print_table
    from rivers_cli.running import say

    with others_to_stderr(as_json):
        usage = usage_in(context.obj.project)
        found = listed(context.obj.project, usage)
    if as_json:
        print_document(
            [
                {
                    "name": one.name,
                    "use": one.use,
                    "source": one.source,
                    "assets": None if usage.problem else one.assets,
                    "about": one.about,
                }
                for one in found
            ]
        )
        return
    columns = [
        Column("Name"), Column("Class", spare=1), Column("From", wraps=True), Column("Assets", right=True),
        Column("About", wraps=True),
    ]  # fmt: skip
    count = "" if usage.problem else None
    print_table(columns, [(h.name, h.use, h.source, count or str(len(h.assets)), h.about) for h in found])
    if usage.problem:
        say(f"\nWhich assets use them is not known: {usage.problem}")


@app.command(cls=Command)
def show(context: typer.Context, name: HandlerName, as_json: AsJson = False) -> None:
    """Show every setting of a handler, and where its value comes from.

    An origin is default, file, environment, .env or code. Secrets are never shown.

    Examples:
      $ rivers handlers show lake
      $ rivers handlers show lake --env prod --json
    """
    from rivers_cli.handlers import settings_of, shown, usage_in
    from rivers_cli.output import Column, others_to_stderr, print_document, print_table

    with others_to_stderr(as_json):
        usage = usage_in(context.obj.project)
        kind, fields = settings_of(context.obj.project, usage, name)
    users = usage.of(name)
    if as_json:
        print_document(
            {
                "name": name,
                "class": f"{kind.__module__}.{kind.__qualname__}",
                "fields": [{"field": f, "value": shown(v), "origin": o} for f, v, o in fields],
                "assets": [
                    {"asset": output.name, "reason": output.binding.reason}
                    for output in users
                    if output.binding is not None
                ],
            }
        )
        return
    print(f"{name}: {kind.__name__} ({kind.__module__})\n")
    columns = [Column("Setting"), Column("Value", wraps=True), Column("From")]
    print_table(columns, [(field, shown(value), origin) for field, value, origin in fields])
    if users:
        print()
        rows = [(output.name, output.binding.reason) for output in users if output.binding is not None]
        print_table([Column("Kept by it"), Column("Because", wraps=True)], rows)
    elif usage.problem:
        print(f"\nWhich assets use it is not known: {usage.problem}")
    else:
        print("\nNo asset uses it.")


@app.command(cls=Command)
def maintain(
    context: typer.Context,
    name: HandlerName,
    assets: Assets = None,
    run: Annotated[
        bool, typer.Option("--run", help="Do it; without this it is only told what would be done.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="An option of the handler's own. Repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Let a handler tidy up what it keeps: put small files together, remove what nobody needs any more.

    First it only tells what it would do; --run does it. Which options there are, the handler's own page says.

    Exit codes: 0, 1 it failed, 2 there is no such handler, or it has nothing to maintain.

    Examples:
      $ rivers handlers maintain lake
      $ rivers handlers maintain lake orders --run
      $ rivers handlers maintain lake --set retention_hours=48
    """
    from rivers_cli.maintenance import cell, maintained
    from rivers_cli.output import Column, others_to_stderr, print_document, print_table

    with others_to_stderr(as_json):
        rows = maintained(context.obj.project, name, assets or (), settings or (), dry_run=not run)
    if as_json:
        print_document({"handler": name, "dry_run": not run, "actions": rows})
        return
    if not rows:
        print(f"{name} has nothing to tidy up.")
        return
    titles = list(dict.fromkeys(key for row in rows for key in row))
    columns = [Column(title.replace("_", " ").capitalize(), wraps=title == titles[0]) for title in titles]
    print_table(columns, [tuple(cell(title, row.get(title)) for title in titles) for row in rows])
    if not run:
        print("\nNothing was changed; --run does it.")
