"""The IO handler contract: two methods to implement, defaults for everything else."""

from __future__ import annotations

from rivers_core.handler.base import BaseIOHandler, Locality, StoredVersion
from rivers_core.handler.contract import contract_problems
from rivers_core.handler.settings import build_handler

__all__ = ["BaseIOHandler", "Locality", "StoredVersion", "build_handler", "contract_problems"]
