"""Values as they are typed on a command line."""

from __future__ import annotations

import json
from ast import literal_eval
from typing import Any

from rivers_cli.problems import UsageProblemError


def pair(text: str, option: str, form: str) -> tuple[str, str]:
    """The two sides of `key=value`.

    Args:
        text: What was typed.
        option: After which option, for the message.
        form: How it is to be written, for the message.

    Raises:
        UsageProblemError: There is no `=` in it, or nothing before it.
    """
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageProblemError(f"{option} {text}: write it as {form}.")
    return key, value


def value_of(text: str) -> Any:
    """A typed text as the value that it most likely is: JSON, a Python literal, else the text itself."""
    for read in (json.loads, literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError):
            continue
    return text
