"""Collect all problems of a repository and report them in one error."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rivers.exceptions import GraphValidationError, RiversError
from rivers_core.authoring import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SHOWN_SUBJECTS: Final = 4
_SHOWN_NAMES: Final = 12


class Findings:
    """Problems of a repository, collected before they are reported."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._cause: BaseException | None = None
        self._subjects: dict[str, list[str]] = {}

    def add(self, text: str) -> None:
        """Add a problem unless it is known already."""
        if text not in self.texts:
            self.texts.append(text)

    @contextmanager
    def collecting(self, subject: str) -> Iterator[None]:
        """Turn an error of the framework into a finding about `subject`, and continue.

        The same problem of several subjects becomes one finding that lists them. An error that carries
        findings itself, such as that of a configuration file, adds them without a subject.
        """
        try:
            yield
        except RiversError as error:
            self._cause = self._cause or error
            message = str(error)
            if getattr(error, "findings", ()):
                for text in error.findings:  # type: ignore[attr-defined]
                    self.add(text)
            elif subject.casefold() in message.casefold():
                self.add(message)
            else:
                self._add_about(subject, message)

    def _add_about(self, subject: str, message: str) -> None:
        subjects = self._subjects.setdefault(message, [])
        previous = f"{_listed(subjects)}: {message}"
        if subject not in subjects:
            subjects.append(subject)
        text = f"{_listed(subjects)}: {message}"
        if previous in self.texts:
            self.texts[self.texts.index(previous)] = text
        else:
            self.add(text)

    def report(self) -> None:
        """Raise all problems in one error.

        Raises:
            GraphValidationError: There is at least one; `findings` holds the text of each.
        """
        if self.texts:
            count = len(self.texts)
            headline = f"{count} problem{'s' if count > 1 else ''} found:"
            raise GraphValidationError(headline, self.texts) from self._cause


def suggest(name: str, known: Iterable[str]) -> str:
    """Return sentences that suggest the nearest name and list the known ones, starting with a space."""
    names = sorted(known)
    if not names:
        return " None is defined."
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    return f"{did_you_mean(name, names)} Available: {', '.join(map(repr, names[:_SHOWN_NAMES]))}{more}."


def _listed(subjects: list[str]) -> str:
    shown = ", ".join(subjects[:_SHOWN_SUBJECTS])
    return (
        shown if len(subjects) <= _SHOWN_SUBJECTS else f"{shown} and {len(subjects) - _SHOWN_SUBJECTS} more"
    )
