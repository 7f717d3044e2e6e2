"""Text of an error, for events, results and messages."""

from __future__ import annotations

__all__ = ["error_text"]

_SHOWN_MEMBERS = 5

_MAX_LENGTH = 10_000
"""Characters of a message; one that quotes a whole table is shortened."""


def error_text(error: BaseException) -> str:
    """Return type and message of an error.

    Args:
        error: Any error; one whose `__str__` fails must not hide what happened.

    Returns:
        Such as `ValueError: no rows`; the type alone without a message; members of a group in brackets; notes (PEP 678)
        in parentheses. A long message is shortened in the middle.
    """
    name = type(error).__name__
    try:
        message = str(error)
    except Exception as failure:  # an author's __str__ may raise anything
        message = f"its __str__ raised {type(failure).__name__}"
    if len(message) > _MAX_LENGTH:
        half = _MAX_LENGTH // 2
        message = f"{message[:half]}\n... {len(message) - _MAX_LENGTH:,} characters ...\n{message[-half:]}"
    text = f"{name}: {message}" if message else name
    if isinstance(error, BaseExceptionGroup):
        text = f"{text} [{_members(error)}]"
    notes = [note for note in getattr(error, "__notes__", ()) if isinstance(note, str)]
    return f"{text} ({'; '.join(notes)})" if notes else text


def _members(group: BaseExceptionGroup) -> str:
    members = [error_text(member) for member in group.exceptions[:_SHOWN_MEMBERS]]
    rest = len(group.exceptions) - len(members)
    return "; ".join(members) + (f"; and {rest} more" if rest else "")
