"""`rivers graph`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rivers_cli.options import AsJson, Assets

if TYPE_CHECKING:
    from rivers.repository import CodeRepository
    from rivers_cli.lineage.model import Lineage

_SUFFIXES = {
    ".svg": "svg",
    ".html": "html",
    ".htm": "html",
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
    ".md": "mermaid",
}


def graph(
    context: typer.Context,
    assets: Assets = None,
    svg: Annotated[bool, typer.Option("--svg", help="A picture; the default.")] = False,
    html: Annotated[bool, typer.Option("--html", help="A page for the browser.")] = False,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Text that GitHub and wikis draw.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to write it; its ending says as what."),
    ] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    as_json: AsJson = False,
) -> None:
    """Draw what is made of what, coloured by handler.

    With names: these assets, all that they are made of, and all that is made of them. Goes to stdout, or to lineage.svg
    if that is a terminal.

    Examples:
      $ rivers graph -o lineage.svg
      $ rivers graph --open
      $ rivers graph report --mermaid
    """
    from rivers_cli.lineage.model import lineage_of
    from rivers_cli.output import others_to_stderr, print_document

    kind = _kind(svg=svg, html=html or open_it, mermaid=mermaid, output=output)
    with others_to_stderr():
        repository = context.obj.project.looked_at()
        for name in assets or ():
            repository.handler_binding(name)
        lineage = lineage_of(repository.graph)
        lineage = lineage.around(assets) if assets else lineage
        drawn = "" if as_json else _drawn(kind, lineage, repository, context.obj.project.root.name)
    if as_json:
        print_document(lineage.document())
        return
    if output is None and (open_it or sys.stdout.isatty()) and kind != "mermaid":
        output = Path(f"lineage.{kind}")
    if output is None:
        sys.stdout.write(drawn)
        return
    output.write_text(drawn, encoding="utf-8")
    print(f"Wrote {output} ({len(lineage.nodes)} assets).", file=sys.stderr)
    if open_it:
        typer.launch(output.absolute().as_uri())


def _kind(*, svg: bool, html: bool, mermaid: bool, output: Path | None) -> str:
    from rivers_cli.problems import UsageProblemError

    chosen = [name for name, wanted in (("svg", svg), ("html", html), ("mermaid", mermaid)) if wanted]
    if len(chosen) > 1:
        raise UsageProblemError(f"Choose one of --{' and --'.join(chosen)}.")
    if chosen:
        return chosen[0]
    if output is None:
        return "svg"
    if output.suffix.lower() not in _SUFFIXES:
        raise UsageProblemError(
            f"--output {output}: its ending does not say what to write; use {', '.join(_SUFFIXES)}, or add "
            "--svg, --html or --mermaid."
        )
    return _SUFFIXES[output.suffix.lower()]


def _drawn(kind: str, lineage: Lineage, repository: CodeRepository, title: str) -> str:
    if kind == "mermaid":
        from rivers_cli.lineage.mermaid import mermaid_of

        return mermaid_of(lineage)
    if kind == "html":
        from rivers_cli.lineage.page import page_of

        return page_of(lineage, f"Lineage of {title}", _facts(lineage, repository))
    from rivers_cli.lineage.svg import svg_of

    return svg_of(lineage)


def _facts(lineage: Lineage, repository: CodeRepository) -> dict[str, dict[str, Any]]:
    from rivers_cli import amounts
    from rivers_cli.inventory import inventory

    facts = {}
    for item in inventory(repository, [node.name for node in lineage.nodes]):
        known = {
            "Handler": f"{item.handler}, {item.reason}",
            "Group": item.group,
            "Kinds": ", ".join(item.kinds),
            "State": item.state,
            "Stored": None if item.last is None else amounts.moment(item.last.timestamp),
            "Data version": None if item.last is None else item.last.data_version,
        }
        facts[item.name] = {key: value for key, value in known.items() if value}
    return facts
