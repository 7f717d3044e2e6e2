"""Shapes of the Kubernetes objects that this package reads and writes, as far as it knows them."""

from __future__ import annotations

from typing import Any, TypeAlias, TypedDict

Manifest: TypeAlias = dict[str, Any]
"""An object in the API's own form. Its fields are those of the API reference; pod templates may use any of them."""


class Event(TypedDict):
    """A change that a watch reports."""

    type: str
    object: Manifest
