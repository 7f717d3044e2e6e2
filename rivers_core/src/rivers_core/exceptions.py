"""Every error that rivers raises: one base, and each also the standard library's error that people catch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rivers_core.partitions import PartitionKey

__all__ = [
    "AssetDefinitionError",
    "AssetNotFoundError",
    "AssetOutputValidationError",
    "ConfigurationError",
    "ConflictError",
    "ExecutionError",
    "GraphValidationError",
    "HandlerNotFoundError",
    "IntegrityError",
    "InvalidMetadataError",
    "NodeNotFoundError",
    "NotMaterializedError",
    "OneShotValueError",
    "PartitionDefinitionError",
    "PartitionValidationError",
    "PluginLoadError",
    "ResultDefinitionError",
    "RiversError",
    "StorageError",
    "TaskDefinitionError",
]

ALWAYS_PROPAGATE: Final = (KeyboardInterrupt, GeneratorExit)
"""What ends a program, whoever raises it. All else makes a plugin broken: panics of Rust libraries are no Exception."""


class RiversError(Exception):
    """Base of every error that rivers raises."""


class AssetDefinitionError(RiversError, ValueError):
    """An asset is written in a way that cannot work."""


class TaskDefinitionError(RiversError, ValueError):
    """A task is written in a way that cannot work."""


class ResultDefinitionError(RiversError, ValueError):
    """An `Output`, `Materialization`, `Observation` or `PartitionedOutput` contradicts itself."""


class AssetNotFoundError(RiversError, LookupError):
    """No asset has that name."""


class NodeNotFoundError(RiversError, LookupError):
    """No asset, output or inner node has that name."""


class HandlerNotFoundError(RiversError, LookupError):
    """No IO handler has that name, or the package that provides it is not installed."""

    is_unknown = False
    """Whether nobody is known to offer the name; if so, another one was meant, and installing helps nobody."""


class AssetOutputValidationError(RiversError, TypeError):
    """A returned value contradicts the return annotation; nothing was stored."""


class ExecutionError(RiversError, RuntimeError):
    """A run failed; the error of the step is chained as the cause."""


class StorageError(RiversError, RuntimeError):
    """The storage of events cannot be opened, read or written."""


class InvalidMetadataError(RiversError, ValueError):
    """A metadata value or a `handler/option` in an asset's metadata is not what it has to be."""


class MetadataTypeError(InvalidMetadataError, TypeError):
    """A Python value has a type that metadata does not store."""


class PartitionDefinitionError(RiversError, ValueError):
    """A partition key or a definition of partitions is malformed."""


class PartitionValidationError(RiversError, ValueError):
    """A partition key does not fit where it is used."""


class PluginLoadError(RiversError, ImportError):
    """A plugin is installed and broken; its own error is chained as the cause."""


class IntegrityError(RiversError, ValueError):
    """Stored bytes are not what was written: damaged, foreign, or signed with another key."""


class OneShotValueError(RiversError, RuntimeError):
    """A value can be read only once, and was read already.

    Raise it from `handle_output` instead of storing what is left of a stream. A retry policy that allows another
    attempt then calls the function again, for a new value.
    """


class ConflictError(RiversError, RuntimeError):
    """Somebody else wrote at the same time, or what is there forbids the write."""


class _FindingsError(RiversError, ValueError):
    """An error that reports everything it found at once."""

    findings: tuple[str, ...]

    def __init__(self, headline: str, findings: Iterable[str] = ()) -> None:
        self.headline = headline
        self.findings = tuple(findings)
        super().__init__("\n".join((headline, *(f"  - {finding}" for finding in self.findings))))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.headline, self.findings), self.__dict__


class ConfigurationError(_FindingsError):
    """The configuration is wrong.

    Args:
        headline: What is wrong, in one sentence.
        findings: Each mistake in one line; the message lists them below the headline.
    """


class GraphValidationError(_FindingsError):
    """Assets, tasks and jobs do not fit together.

    Args:
        headline: What is wrong, in one sentence.
        findings: Each mistake in one line; the message lists them below the headline.
    """


class NotMaterializedError(RiversError, FileNotFoundError):
    """Nothing was ever stored for an asset (and partition).

    Raise it from `load_input` when, and only when, the value was never stored. Damaged or unreachable
    values are other errors: a consumer may take this one for "first run".

    Args:
        asset_name: The asset that was asked for.
        partition: The partition that was asked for; None for an unpartitioned asset.
        handler: The handler that looked, as a reader would name it.
        address: Where it looked (a path, a table, a URL); never with credentials.
        nearest: What exists instead and comes closest; or a function that looks for it when somebody reads
            the message, for who takes this error for a first run never does.
        message: Says it in your own words, instead of the sentence built from the above.

    Attributes:
        advice: What to do about it, which follows the built sentence.
    """

    advice: str = "Materialize it first."

    def __init__(
        self,
        asset_name: str,
        *,
        partition: PartitionKey | str | None = None,
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
        super().__init__(message or self._sentence())

    @property
    def nearest(self) -> str | None:
        """What exists instead and comes closest; None if nothing does, or if it cannot be found out."""
        if callable(self._nearest):
            try:
                self._nearest = self._nearest()
            except Exception:
                self._nearest = None
        return self._nearest

    def __str__(self) -> str:
        if self._message:
            return self._message
        nearest = f" The nearest that exists: {self.nearest}." if self.nearest else ""
        return f"{self.args[0]} {self.advice}{nearest}"

    def _sentence(self) -> str:
        what = f"asset {self.asset_name!r}"
        if self.partition is not None:
            what = f"partition {str(self.partition)!r} of {what}"
        where = " ".join(
            part for part in (self.handler, f"at {self.address!r}" if self.address else None) if part
        )
        looked = f" (looked with {where})" if self.handler else f" (looked {where})" if where else ""
        return f"Nothing is stored for {what}{looked}."

    def __reduce__(self) -> tuple[object, ...]:
        return _restored, (type(self), *self.args), {**self.__dict__, "_nearest": self.nearest}


def _restored(kind: type[NotMaterializedError], *args: object) -> NotMaterializedError:
    error = kind.__new__(kind)
    error.args = args
    return error
