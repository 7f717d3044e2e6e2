"""Selection syntax: names, globs, labels, upstream and downstream, exclusion."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from rivers.exceptions import AssetNotFoundError
from rivers.graph.findings import suggest
from rivers_core.authoring import plain_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rivers.graph.plan import Graph, StoredOutput

_WORDS: Final = re.compile(r"""(?:"[^"]*"|'[^']*'|[^\s"'])+""")
_TERM: Final = re.compile(r"(?P<up>\d*\+)?(?P<core>.+?)(?P<down>\+\d*)?", re.DOTALL)
_QUOTED: Final = re.compile(r"""(["'])(?P<name>.*)\1""", re.DOTALL)


def select_names(graph: Graph, selection: str | Iterable[str]) -> list[str]:
    """Return the names of the assets, outputs and tasks that a selection matches.

    Terms are joined (union): a name, a glob (`raw_*`), `group:x`, `tag:x`, `kind:x`, `handler:x` (also with a glob),
    with `+name` everything upstream, with `name+` everything downstream, with `1+name` and `name+1` one level of it.
    `-term` excludes. An exact name takes precedence, and quotes protect one.

    Args:
        graph: The resolved graph.
        selection: A string of terms separated by spaces, or one term per item.

    Returns:
        The names, in the order of the terms, those of one term in execution order.

    Raises:
        AssetNotFoundError: A name is unknown, or a term or the whole selection matches nothing.
    """
    if isinstance(selection, str):
        selection = plain_text(selection)
        terms = [selection] if _is_known(graph, selection) else _WORDS.findall(selection)
    else:
        terms = [plain_text(term) for term in selection]
    included: dict[str, None] = {}
    excluded: set[str] = set()
    only_exclusions = True
    for term in terms:
        if term.startswith("-") and not _is_known(graph, term):
            excluded.update(part for name in _names_of(graph, term[1:]) for part in _outputs(graph, name))
        else:
            only_exclusions = False
            included.update(dict.fromkeys(_names_of(graph, term)))
    if only_exclusions and terms:
        included = dict.fromkeys(name for member in graph.default_members for name in _outputs(graph, member))
    names = [
        name for name in included if name not in excluded and not excluded.issuperset(_outputs(graph, name))
    ]
    if excluded:  # of a multi-asset that is selected as a whole, keep what is not excluded
        parts = (_outputs(graph, name) if excluded & {*_outputs(graph, name)} else [name] for name in names)
        names = [name for part in parts for name in part if name not in excluded]
    if not names:
        hint = "" if terms else " Omit it to select every asset."
        raise AssetNotFoundError(f"selection {' '.join(terms)!r} matches no asset.{hint}")
    return names


def _names_of(graph: Graph, term: str) -> Iterable[str]:
    if _is_known(graph, term):
        return [term]
    match = _TERM.fullmatch(term)
    if match is None:
        raise AssetNotFoundError(f"selection must not contain an empty name, got {term!r}.")
    names = _matching(graph, match["core"], term)
    related = dict.fromkeys(names)
    if match["up"] is not None:
        related.update(dict.fromkeys(_reach(names, _upstream(graph), match["up"].rstrip("+"))))
    if match["down"] is not None:
        related.update(dict.fromkeys(_reach(names, _downstream(graph), match["down"].lstrip("+"))))
    order = {name: index for index, name in enumerate(_selectable(graph))}
    return sorted(related, key=lambda name: order.get(name, -1))


def _matching(graph: Graph, core: str, term: str) -> list[str]:
    quoted = _QUOTED.fullmatch(core)
    name = quoted["name"] if quoted else core
    if _is_known(graph, name):
        return [name]
    label, colon, pattern = core.partition(":")
    outputs = _selectable(graph)
    if quoted is None and colon and label in ("group", "tag", "kind", "handler"):
        labels = {output.name: _labels(output, label) for output in outputs.values()}
        matches = [
            name for name, values in labels.items() if any(fnmatchcase(value, pattern) for value in values)
        ]
        known = {value for values in labels.values() for value in values}
        if not matches:
            raise AssetNotFoundError(
                f"selection {term!r}: no asset has {label} {pattern!r}.{suggest(pattern, known)}"
            )
        return matches
    if quoted is None and any(character in core for character in "*?["):
        matches = [name for name in outputs if fnmatchcase(name, core)]
        if not matches:
            raise AssetNotFoundError(f"selection {term!r}: no asset matches.{suggest(core, graph.members)}")
        return matches
    raise AssetNotFoundError(f"asset {name!r} not found.{suggest(name, graph.members)}")


def _labels(output: StoredOutput, label: str) -> tuple[str, ...]:
    if label == "tag":
        return output.tags
    if label == "kind":
        return output.kinds
    if label == "group":
        return () if output.group is None else (output.group,)
    return () if output.binding is None else (output.binding.label,)


def _is_known(graph: Graph, name: str) -> bool:
    return name in graph.members or name in graph.outputs


def _selectable(graph: Graph) -> Mapping[str, StoredOutput]:
    """Return the outputs of assets and tasks that can run, in execution order."""
    order = {name: index for index, name in enumerate(graph.steps)}
    outputs = [
        output for output in graph.outputs.values() if output.is_asset and output.step_name is not None
    ]
    return {output.name: output for output in sorted(outputs, key=lambda item: order[item.step_name or ""])}


def _outputs(graph: Graph, name: str) -> list[str]:
    """Return the outputs of a name: several of a multi-asset."""
    members = graph.members.get(name, ())
    step = graph.steps[members[0]] if members else None
    return (
        [output.name for output in step.outputs]
        if step is not None and step.is_multi and name == step.name
        else [name]
    )


def _upstream(graph: Graph) -> dict[str, list[str]]:
    """Return the selectable upstream names of each selectable name."""
    selectable = _selectable(graph)
    return {
        name: [
            upstream
            for member in graph.members.get(name, ())
            for upstream in graph.steps[member].upstream_names()
            if upstream in selectable and upstream != name
        ]
        for name in selectable
    }


def _downstream(graph: Graph) -> dict[str, list[str]]:
    followers: dict[str, list[str]] = {}
    for name, upstreams in _upstream(graph).items():
        for upstream in upstreams:
            followers.setdefault(upstream, []).append(name)
    return followers


def _reach(names: Iterable[str], edges: Mapping[str, list[str]], levels: str) -> Iterator[str]:
    """Yield the names that are connected to names, within a number of levels if there is one."""
    seen: set[str] = set()
    current = list(names)
    remaining = int(levels) if levels else -1
    while current and remaining != 0:
        current = [
            item
            for item in dict.fromkeys(e for name in current for e in edges.get(name, ()))
            if item not in seen
        ]
        seen.update(current)
        yield from current
        remaining -= 1
