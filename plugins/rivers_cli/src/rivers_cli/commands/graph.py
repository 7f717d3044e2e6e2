"""`rivers graph`: draw the lineage."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from rivers_cli.errors import UsageError
from rivers_cli.options import AsJson, Assets, Exclude, select_assets
from rivers_cli.output import print_document, print_error, project_output_to_stderr
from rivers_core.authoring import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rivers.inspection.assets import AssetSummary
    from rivers.inspection.lineage import Lineage
    from rivers.repository import CodeRepository

_FORMATS: Final = {
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
    exclude: Exclude = None,
    svg: Annotated[bool, typer.Option("--svg", help="Draw SVG; the default.")] = False,
    html: Annotated[bool, typer.Option("--html", help="Draw an HTML page.")] = False,
    mermaid: Annotated[
        bool, typer.Option("--mermaid", help="Write Mermaid text, for GitHub and wikis.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Output file; its suffix selects the format."),
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    as_json: AsJson = False,
) -> None:
    """Draw the lineage of assets, colored by handler.

    With names: these assets, everything upstream and everything downstream of them. Prints to stdout, or writes
    lineage.svg if stdout is a terminal.

    Examples:
      $ rivers graph -o lineage.svg
      $ rivers graph --open
      $ rivers graph report --mermaid
    """
    from rivers.inspection.lineage import build_lineage

    format_name = _select_format(svg=svg, html=html or open_browser, mermaid=mermaid, output=output)
    with project_output_to_stderr():
        repository = context.obj.project.inspect()
        selected = select_assets(repository, assets, exclude)
        lineage = build_lineage(repository.graph)
        lineage = lineage.around(list(selected)) if selected is not None else lineage
        drawing = "" if as_json else _render(format_name, lineage, repository, context.obj.project.root.name)
    if as_json:
        print_document(lineage.document())
        return
    if output is None and (open_browser or sys.stdout.isatty()) and format_name != "mermaid":
        output = Path(f"lineage.{format_name}")
    if output is None:
        sys.stdout.write(drawing)
        return
    output.write_text(drawing, encoding="utf-8")
    print_error(f"Wrote {output} ({counted(len(lineage.nodes), 'asset')}).")
    if open_browser:
        typer.launch(output.absolute().as_uri())


def _select_format(*, svg: bool, html: bool, mermaid: bool, output: Path | None) -> str:
    options = {"svg": svg, "html": html, "mermaid": mermaid}
    selected = [name for name, is_selected in options.items() if is_selected]
    if len(selected) > 1:
        raise UsageError(f"Use only one of --{' and --'.join(selected)}.")
    if selected:
        return selected[0]
    if output is None:
        return "svg"
    if output.suffix.lower() not in _FORMATS:
        raise UsageError(
            f"--output {output}: unknown suffix {output.suffix!r}. Use one of {', '.join(_FORMATS)}, or --svg, --html "
            "or --mermaid."
        )
    return _FORMATS[output.suffix.lower()]


def _render(format_name: str, lineage: Lineage, repository: CodeRepository, title: str) -> str:
    from rivers.inspection.assets import summarize_assets
    from rivers_cli.lineage_drawing import render_html, render_mermaid, render_svg

    if format_name == "mermaid":
        return render_mermaid(lineage)
    if format_name == "html":
        summaries = summarize_assets(repository, [node.name for node in lineage.nodes])
        states = {summary.name: summary.state for summary in summaries}
        return render_html(lineage, f"Lineage of {title}", _facts(summaries), states)
    return render_svg(lineage)


def _facts(summaries: Iterable[AssetSummary]) -> dict[str, dict[str, Any]]:
    from rivers_cli.humanize import format_time

    facts = {}
    for summary in summaries:
        candidates = {
            "Description": summary.description,
            "Handler": f"{summary.handler}, {summary.reason}",
            "Group": summary.group,
            "Kinds": ", ".join(summary.kinds),
            "State": summary.state,
            "Stored": None if summary.last is None else format_time(summary.last.timestamp),
            "Data version": None if summary.last is None else summary.last.data_version,
        }
        facts[summary.name] = {key: value for key, value in candidates.items() if value}
    return facts
