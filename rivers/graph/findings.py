"""Everything that is wrong with a repository, collected before it is reported."""

from __future__ import annotations

import difflib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rivers.exceptions import GraphValidationError, RiversError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SHOWN: Final = 4


class Findings:
    """Collects mistakes, so that one error tells them all."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._cause: BaseException | None = None
        self._subjects: dict[str, list[str]] = {}

    def add(self, text: str) -> None:
        """Note one mistake, once."""
        if text not in self.texts:
            self.texts.append(text)

    @contextmanager
    def collecting(self, subject: str) -> Iterator[None]:
        """Turn an error of the framework into a finding about `subject`, and go on.

        What is said of several subjects alike is one finding that names them, and an error that has findings
        of its own (a configuration that serves many assets) says them once.
        """
        try:
            yield
        except RiversError as error:
            self._cause = self._cause or error
            said = str(error)
            if getattr(error, "findings", ()):
                for text in error.findings:  # type: ignore[attr-defined]
                    self.add(text)
            elif subject.casefold() in said.casefold():
                self.add(said)
            else:
                self._add_about(subject, said)

    def _add_about(self, subject: str, said: str) -> None:
        subjects = self._subjects.setdefault(said, [])
        before = f"{_listed(subjects)}: {said}"
        if subject not in subjects:
            subjects.append(subject)
        text = f"{_listed(subjects)}: {said}"
        if before in self.texts:
            self.texts[self.texts.index(before)] = text
        else:
            self.add(text)

    def report(self) -> None:
        """Raise what was found.

        Raises:
            GraphValidationError: When there is any finding; its `findings` holds one text each.
        """
        if self.texts:
            raise GraphValidationError(self._headline(), self.texts) from self._cause

    def _headline(self) -> str:
        return f"{_count(len(self.texts))} must be mended before anything can run:"


def _listed(subjects: list[str]) -> str:
    shown = ", ".join(subjects[:_SHOWN])
    return shown if len(subjects) <= _SHOWN else f"{shown} and {len(subjects) - _SHOWN} more"


def _count(number: int) -> str:
    return "one thing" if number == 1 else f"{number} things"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The part of a sentence that says what there is instead of `name`: the nearest name, then the list."""
    names = sorted(known)
    if not names:
        return "there is none"
    near = difflib.get_close_matches(name, names, n=1)
    listed = ", ".join(map(repr, names[:12])) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    return f"did you mean {near[0]!r}? There are {listed}" if near else f"there are {listed}"
