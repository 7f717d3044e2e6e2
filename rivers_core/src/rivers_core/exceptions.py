"""Errors that handlers raise or see: one base class, and each is also the standard error that callers catch.

`rivers.exceptions` exports these together with the errors that only the engine raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


__all__ = [
    "AssetOutputValidationError",
    "ConfigurationError",
    "ConflictError",
    "FindingsError",
    "HandlerNotFoundError",
    "IntegrityError",
    "InvalidMetadataError",
    "MetadataTypeError",
    "NotMaterializedError",
    "OneShotValueError",
    "PartitionDefinitionError",
    "PartitionValidationError",
    "PluginLoadError",
    "RiversError",
    "VersionNotFoundError",
]

ALWAYS_PROPAGATE: Final = (KeyboardInterrupt, GeneratorExit)
"""Exceptions that always propagate. Any other BaseException (such as a pyo3 panic) marks the plugin as broken."""


class RiversError(Exception):
    """Base class of every error that rivers raises."""


class FindingsError(RiversError, ValueError):
    """Base class of errors that report several findings at once.

    Args:
        headline: Summary of what failed, in one sentence.
        findings: One line per finding; the message lists them below the headline.
    """

    findings: tuple[str, ...]

    def __init__(self, headline: str, findings: Iterable[str] = ()) -> None:
        self.headline = headline
        self.findings = tuple(findings)
        super().__init__("\n".join((headline, *(f"  - {finding}" for finding in self.findings))))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.headline, self.findings), self.__dict__


class ConfigurationError(FindingsError):
    """The configuration is invalid."""


class HandlerNotFoundError(RiversError, LookupError):
    """No IO handler has that name, or the package that provides it is not installed."""

    is_unknown = False
    """True if no known package provides the name, so that installing one cannot help."""


class PluginLoadError(RiversError, ImportError):
    """An installed plugin is broken; the original error is chained as the cause."""


class AssetOutputValidationError(RiversError, TypeError):
    """A returned value does not match the return annotation; nothing was stored."""


class InvalidMetadataError(RiversError, ValueError):
    """A metadata value, or a `handler/option` in an asset's metadata, is invalid."""


class MetadataTypeError(InvalidMetadataError, TypeError):
    """A Python value has a type that metadata does not support."""


class PartitionDefinitionError(RiversError, ValueError):
    """A partition key or a partitions definition is malformed."""


class PartitionTypeError(PartitionDefinitionError, TypeError):
    """An argument of a partition key or a partitions definition has the wrong type."""


class PartitionValidationError(RiversError, ValueError):
    """A partition key is not valid where it is used."""


class NoPartitionKeysError(PartitionDefinitionError, PartitionValidationError):
    """A partitions definition has no dimension, or a partition key no value."""


class IntegrityError(RiversError, ValueError):
    """Stored bytes are damaged, foreign, or signed with another key."""


class ConflictError(RiversError, RuntimeError):
    """A concurrent write, or existing data, prevents the write.

    Raise it from `handle_output`, with nothing stored, if `OutputContext.expected_version` is not the version that is
    stored. The engine then runs the step again with the current value.
    """


class VersionNotFoundError(RiversError, LookupError):
    """The requested version of a value was never stored, or is no longer kept."""


class OneShotValueError(RiversError, RuntimeError):
    """A one-shot value (an iterator, generator or reader) was already consumed.

    Raise it from `handle_output` instead of storing the rest of a stream. If the retry policy allows another attempt,
    the engine calls the function again to get a new value.
    """


class NotMaterializedError(RiversError, FileNotFoundError):
    """Nothing was ever stored for an asset (and partition).

    Raise it from `load_input` if, and only if, the value was never stored: callers treat it as a first run. Raise
    other errors for damaged or unreachable values.

    Args:
        asset_name: The requested asset.
        partition: The requested partition; None for an unpartitioned asset.
        handler: Name of the handler, for the message.
        address: Address that was read (a path, a table, a URL), without credentials.
        nearest: The nearest stored value, or a function that finds it. The function is called when the message is
            read; callers that treat the error as a first run never pay for the search.
        message: Replaces the generated message.

    Attributes:
        advice: Fix that the generated message ends with.
    """

    advice: str = "Materialize it first."

    def __init__(
        self,
        asset_name: str,
        *,
        partition: object = None,
        handler: str | None = None,
        address: str | None = None,
        nearest: str | Callable[[], str | None] | None = None,
        message: str | None = None,
    ) -> None:
        self.asset_name = asset_name
        self.partition = partition
        self.handler = handler
        self.address = address
        self._nearest = nearest
        self._message = message
        super().__init__(message or self._summary())

    @property
    def nearest(self) -> str | None:
        """The nearest stored value; None if there is none, or if the search fails."""
        if callable(self._nearest):
            try:
                self._nearest = self._nearest()
            except Exception:
                self._nearest = None
        return self._nearest

    def _summary(self) -> str:
        partition = "" if self.partition is None else f", partition {str(self.partition)!r}"
        places = [self.handler, repr(self.address) if self.address else None]
        where = ", ".join(place for place in places if place)
        return f"Nothing is stored for asset {self.asset_name!r}{partition}{f' ({where})' if where else ''}."

    def __str__(self) -> str:
        if self._message:
            return self._message
        nearest = f" The nearest stored value: {self.nearest}." if self.nearest else ""
        return f"{self.args[0]} {self.advice}{nearest}"

    def __reduce__(self) -> tuple[object, ...]:
        return _restored, (type(self), *self.args), {**self.__dict__, "_nearest": self.nearest}


def _restored(kind: type[NotMaterializedError], *args: object) -> NotMaterializedError:
    # pickles of release 0.1 refer to this function by name
    error = kind.__new__(kind)
    error.args = args
    return error
