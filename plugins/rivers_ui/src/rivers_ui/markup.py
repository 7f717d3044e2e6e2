"""Markdown and source code as trees of plain values, from which the page builds elements by an allow-list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from markdown_it.token import Token

Tree = list[Any]
"""Texts, and elements as `[name, attributes, children]`."""

MAX_TEXT: Final = 20_000
_ATTRIBUTES: Final = ("href", "title", "start")


def markdown_tree(text: str) -> Tree:
    """Return Markdown as a tree; HTML in it stays text, and an image becomes a link to it.

    Args:
        text: CommonMark with tables; the first 20,000 characters are read.
    """
    from markdown_it import MarkdownIt

    tokens = (
        MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).parse(text[:MAX_TEXT])
    )
    return _nest(iter(tokens))


def code_tree(code: str, language: str | None) -> Tree:
    """Return source code as spans whose class names the kind of token; plain text if the language is unknown.

    Args:
        code: The code; the first 20,000 characters are read.
        language: Name of the language, as Pygments knows it.
    """
    from pygments.lexers import get_lexer_by_name
    from pygments.token import Comment, Keyword, Name, Number, Operator, String
    from pygments.util import ClassNotFound

    kinds = {
        Comment: "comment", Keyword: "keyword", String: "string", Number: "number", Operator.Word: "keyword",
        Name.Function: "function", Name.Class: "function", Name.Builtin: "builtin",
    }  # fmt: skip
    try:
        lexer = get_lexer_by_name(language or "text", stripnl=False, ensurenl=False)
    except ClassNotFound:
        return [code[:MAX_TEXT]]
    tree: Tree = []
    for token, text in lexer.get_tokens(code[:MAX_TEXT]):
        kind = next((name for parent, name in kinds.items() if token in parent), None)
        tree.append(text if kind is None else ["span", {"class": f"code-{kind}"}, [text]])
    return tree


def _nest(tokens: Iterator[Token]) -> Tree:
    """Return the tokens up to the end of the current element as a tree."""
    tree: Tree = []
    for token in tokens:
        if token.nesting < 0:
            break
        if token.nesting > 0:
            tree.append([token.tag, _attributes(token), _nest(tokens)])
        elif token.type == "inline":
            tree += _nest(iter(token.children or ()))
        elif token.type == "image":
            tree.append(["a", {"href": str(token.attrGet("src") or "")}, [token.content or "image"]])
        elif token.type in ("fence", "code_block"):
            tree.append(["pre", {}, code_tree(token.content, token.info.split(" ")[0] or None)])
        elif token.type == "code_inline":
            tree.append(["code", {}, [token.content]])
        elif token.tag in ("hr", "br"):
            tree.append([token.tag, {}, []])
        else:
            tree.append("\n" if token.type == "softbreak" else token.content)
    return tree


def _attributes(token: Token) -> dict[str, str]:
    values: Sequence[tuple[str, Any]] = list(token.attrs.items())
    return {name: str(value) for name, value in values if name in _ATTRIBUTES}
