"""The commands of this package: name, where it is, what it does, under which heading it is listed."""

from __future__ import annotations

from typing import Final

RUN: Final = "Run"
LOOK: Final = "Look"
SET_UP: Final = "Set up"

SECTIONS: Final = (RUN, LOOK, SET_UP)

COMMANDS: Final[dict[str, tuple[str, str, str]]] = {
    "materialize": ("rivers_cli.commands.materialize:materialize", "Run assets and keep their results.", RUN),
    "migrate": ("rivers_cli.commands.migrate:migrate", "Copy stored values to another handler.", RUN),
    "assets": ("rivers_cli.commands.assets:assets", "List assets: handler, last run, freshness.", LOOK),
    "load": ("rivers_cli.commands.load:load", "Show the stored value of an asset.", LOOK),
    "graph": ("rivers_cli.commands.graph:graph", "Draw the lineage as SVG, HTML or Mermaid.", LOOK),
    "runs": ("rivers_cli.commands.runs:runs", "List runs, the last one first.", LOOK),
    "log": ("rivers_cli.commands.log:log", "Show what happened to an asset or in a run.", LOOK),
    "check": ("rivers_cli.commands.check:check", "Find what is wrong, and try every store.", SET_UP),
    "handlers": ("rivers_cli.commands.handlers:app", "List handlers; show the settings of one.", SET_UP),
    "plugins": ("rivers_cli.commands.plugins:plugins", "List installed plugins and their state.", SET_UP),
    "config": ("rivers_cli.commands.config:app", "Show the configuration; a schema for editors.", SET_UP),
    "new": ("rivers_cli.commands.new:new", "Start a project that works.", SET_UP),
}
