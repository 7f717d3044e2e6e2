"""Definitions: the values and decorators that pipeline authors use; `import rivers as rs` exports the public ones."""

from __future__ import annotations

from rivers_core.authoring import register_former_module

# Retry policies that release 0.1.0 pickled name these modules.
register_former_module("rivers.definitions.backoff", {"rivers.definitions.retry": ["Backoff"]})
register_former_module("rivers.definitions.compute", {"rivers.definitions.retry": ["Compute"]})
