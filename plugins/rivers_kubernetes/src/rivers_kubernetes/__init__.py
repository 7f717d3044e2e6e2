"""Executor that runs each step of a pipeline as a Kubernetes Job."""

from __future__ import annotations

from rivers_core.authoring import lazy_exports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rivers_kubernetes.executor import Kubernetes as Kubernetes
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, {"rivers_kubernetes.executor": ["Kubernetes"]})
