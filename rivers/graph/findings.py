"""Collect all problems of a repository and report them in one error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rivers.exceptions import (
    AssetDefinitionError,
    ConfigurationError,
    GraphTypeError,
    GraphValidationError,
    HandlerNotFoundError,
    NodeNotFoundError,
    PartitionValidationError,
    RiversError,
)
from rivers_core.authoring import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

_SHOWN_SUBJECTS: Final = 4
_SHOWN_NAMES: Final = 12


class PartitionGraphError(GraphValidationError, PartitionValidationError):
    """All findings are about partitions and their mappings."""


class ConfigurationGraphError(GraphValidationError, ConfigurationError):
    """All findings are about names in the repository's arguments, or about the configuration."""


class NodeNotFoundGraphError(GraphValidationError, NodeNotFoundError):
    """All findings are about unknown assets."""


class DefinitionGraphError(GraphValidationError, AssetDefinitionError):
    """All findings are about definitions of assets."""


GRAPH_ERRORS: Final[dict[type[RiversError], type[GraphValidationError]]] = {
    PartitionValidationError: PartitionGraphError,
    ConfigurationError: ConfigurationGraphError,
    NodeNotFoundError: NodeNotFoundGraphError,
    AssetDefinitionError: DefinitionGraphError,
    GraphTypeError: GraphTypeError,
}
"""Errors of findings of one kind, by that kind."""


class Findings:
    """Problems of a repository, collected before they are reported."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._cause: BaseException | None = None
        self._subjects: dict[str, list[str]] = {}
        self._kinds: set[type[RiversError] | None] = set()

    def add(self, text: str, kind: type[RiversError] | None = None) -> None:
        """Add a problem unless it is known already.

        Args:
            text: The problem and its fix.
            kind: Error that the problem would be alone: one of those in `GRAPH_ERRORS`, or a subclass.
        """
        if text not in self.texts:
            self.texts.append(text)
            self._kinds.add(next((known for known in GRAPH_ERRORS if kind and issubclass(kind, known)), None))

    def extend(self, findings: Findings) -> None:
        """Add the problems that were collected elsewhere."""
        self.texts += [text for text in findings.texts if text not in self.texts]
        self._kinds |= findings._kinds

    def collecting(self, subject: str) -> _Collecting:
        """Turn an error of the framework within a block into a finding about `subject`, and continue.

        The same problem of several subjects becomes one finding that lists them. An error that carries
        findings itself, such as that of a configuration file, adds them without a subject.
        """
        return _Collecting(self, subject)

    def add_error(self, subject: str, error: RiversError) -> None:
        """Add an error of the framework, as `collecting` does."""
        self._cause = self._cause or error
        message, kind = str(error), type(error)
        if isinstance(error, HandlerNotFoundError):  # an unknown name in a definition
            kind = AssetDefinitionError
        if getattr(error, "findings", ()):
            for text in error.findings:  # type: ignore[attr-defined]
                self.add(text, kind)
        elif subject.casefold() in message.casefold():
            self.add(message, kind)
        else:
            self._add_about(subject, message, kind)

    def _add_about(self, subject: str, message: str, kind: type[RiversError]) -> None:
        subjects = self._subjects.setdefault(message, [])
        previous = f"{_listed(subjects)}: {message}"
        if subject not in subjects:
            subjects.append(subject)
        text = f"{_listed(subjects)}: {message}"
        if previous in self.texts:
            self.texts[self.texts.index(previous)] = text
        else:
            self.add(text, kind)

    def report(self) -> None:
        """Raise all problems in one error.

        Raises:
            GraphValidationError: There is at least one; `findings` holds the text of each. If all are of one kind, the
                error is also of that kind.
        """
        if self.texts:
            count = len(self.texts)
            headline = f"{count} problem{'s' if count > 1 else ''} found:"
            kind = next(iter(self._kinds)) if len(self._kinds) == 1 else None
            error = GraphValidationError if kind is None else GRAPH_ERRORS[kind]
            raise error(headline, self.texts) from self._cause


class _Collecting:
    """Context manager of `Findings.collecting`; a generator would cost 1 µs per asset."""

    __slots__ = ("_findings", "_subject")

    def __init__(self, findings: Findings, subject: str) -> None:
        self._findings = findings
        self._subject = subject

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if isinstance(error, RiversError):
            self._findings.add_error(self._subject, error)
            return True
        return False


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
