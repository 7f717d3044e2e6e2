"""An error as one text, for events, results and messages."""

from __future__ import annotations

__all__ = ["error_text"]

_SHOWN = 10_000
"""Characters; a message that quotes a whole table is not recorded as a whole."""


def error_text(error: BaseException) -> str:
    """Says what was raised: the type and the message.

    Args:
        error: Any error, also one whose `__str__` fails; that must not take the place of what happened.

    Returns:
        Such as `ValueError: no rows`; the type alone where there is no message; notes (PEP 678) in brackets. A very
        long message loses its middle.
    """
    name = type(error).__name__
    try:
        text = str(error)
    except Exception as broken:  # whatever an author's __str__ raises
        text = f"its message cannot be read, since its __str__ raised {type(broken).__name__}"
    if len(text) > _SHOWN:
        left_out = len(text) - _SHOWN
        text = f"{text[: _SHOWN // 2]}\n... {left_out:,} characters ...\n{text[-_SHOWN // 2 :]}"
    told = f"{name}: {text}" if text else name
    notes = [note for note in getattr(error, "__notes__", ()) if isinstance(note, str)]
    return f"{told} ({'; '.join(notes)})" if notes else told
