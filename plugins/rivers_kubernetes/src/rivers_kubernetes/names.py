"""Names and labels of Kubernetes objects: readable where the rules allow it, hashed where they do not."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rivers.executors.remote import StepRequest

RUN_LABEL: Final = "rivers/run"
ASSET_LABEL: Final = "rivers/asset"
STEP_LABEL: Final = "rivers/step"
ATTEMPT_LABEL: Final = "rivers/attempt"
CALL_LABEL: Final = "rivers/call"
"""Identifies a step and its partition keys within all runs, whatever the attempt."""

_LABEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def label_value(text: str) -> str:
    """Return a text as the value of a label: itself if the rules allow it, else its beginning and a hash.

    Args:
        text: Any text.

    Examples:
        >>> label_value("orders")
        'orders'
        >>> label_value("orders/2024 Q1")
        'orders-2024-Q1-cdf35953d1'
    """
    if _LABEL.fullmatch(text):
        return text
    return "-".join(filter(None, (_readable(text, r"[^A-Za-z0-9._-]+", 50), _hash(text))))


def object_name(*parts: str) -> str:
    """Return a name of at most 63 characters that a Kubernetes object may have.

    Args:
        parts: Texts that the name shows, the first one of any length and content.
    """
    first, *rest = parts
    end = "-".join(rest)
    return f"rivers-{_readable(first.lower(), r'[^a-z0-9-]+', 54 - len(end)) or 'x'}-{end}"


def call_id(request: StepRequest) -> str:
    """Return the identifier of a step with its partition keys in one run, equal for every attempt."""
    return _hash(request.run_id, request.step, *(request.keys or ()))


def run_name(run_id: str) -> str:
    """Return the name of the ConfigMap that owns the objects of a run."""
    return object_name("run", _hash(run_id))


def labels_of(request: StepRequest) -> Mapping[str, str]:
    """Return the labels of the Job and the Pod that run a request."""
    return {
        RUN_LABEL: label_value(request.run_id),
        ASSET_LABEL: label_value(request.asset),
        STEP_LABEL: label_value(request.step),
        ATTEMPT_LABEL: str(request.attempt),
        CALL_LABEL: call_id(request),
    }


def _readable(text: str, invalid: str, length: int) -> str:
    return re.sub(invalid, "-", text)[:length].strip("-._")


def _hash(*texts: str) -> str:
    return blake2b("\0".join(texts).encode(), digest_size=5).hexdigest()
