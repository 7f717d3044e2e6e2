"""Plugin of this package: a handler by name, and a wrapper for the assets of `RIVERS_ZSTD_ASSETS`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from rivers_core.hooks import HandlerSpec, hookimpl

if TYPE_CHECKING:
    from rivers_core import BaseIOHandler


@hookimpl
def rivers_io_handlers() -> Iterator[HandlerSpec]:
    """The handlers of this package."""
    yield HandlerSpec(
        "zstd",
        target="rivers_zstd.handler:ZstdIOHandler",
        summary="Values compressed with Zstandard, in the store of another handler.",
        requires=("pyarrow",),
    )


@hookimpl
def rivers_wrap_io_handler(handler: BaseIOHandler, asset_name: str) -> BaseIOHandler | None:
    """Compress the assets whose names match `RIVERS_ZSTD_ASSETS`, patterns separated by commas."""
    patterns = os.environ.get("RIVERS_ZSTD_ASSETS", "").split(",")
    if not any(fnmatchcase(asset_name, pattern.strip()) for pattern in patterns):
        return None
    from rivers_zstd.handler import ZstdIOHandler

    return handler if isinstance(handler, ZstdIOHandler) else ZstdIOHandler(inner=handler)
