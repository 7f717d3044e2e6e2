"""Errors of the pickle handler: they name asset, address, cause and fix, and never show a credential."""

from __future__ import annotations

import pickle
import re
from typing import TYPE_CHECKING

from rivers_core.exceptions import IntegrityError, RiversError, VersionNotFoundError
from rivers_objects.errors import named
from rivers_pickle.unpicklable import find_unpicklable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers_core import InputContext, OutputContext
    from rivers_pickle.format import FormatError, Header
    from rivers_pickle.unpickling import ForbiddenGlobalError


def damaged(context: InputContext, address: str, error: FormatError) -> IntegrityError:
    """Return the error for an object that must not be unpickled.

    Args:
        context: Context of the asset.
        address: Address of the object.
        error: What is wrong with the object.
    """
    return IntegrityError(
        f"Could not load {named(context)} at {address!r}: the object {error}. Nothing was unpickled. {error.advice}"
    )


def changed_meanwhile(context: InputContext, address: str) -> IntegrityError:
    """Return the error for an object that a program changed in place between its verification and its loading.

    Args:
        context: Context of the asset.
        address: Address of the object.
    """
    return IntegrityError(
        f"Could not load {named(context)} at {address!r}: a program changed the object in place while it was read. "
        "Handlers replace objects and never change them. Materialize the asset again."
    )


def no_such_version(context: InputContext, address: str, versions: Sequence[str]) -> VersionNotFoundError:
    """Return the error for a version that is not stored.

    Args:
        context: Context of the asset, with the version.
        address: Address of the current object.
        versions: The stored versions, the current one first.
    """
    stored = ", ".join(version[:12] for version in versions) or "none"
    return VersionNotFoundError(
        f"Could not load version {context.version!r} of {named(context)} at {address!r}: it is not stored. Stored are "
        f"{stored}. Earlier versions are kept by a handler with `keep_versions`."
    )


def forbidden(context: InputContext, address: str, error: ForbiddenGlobalError) -> IntegrityError:
    """Return the error for an object that refers to a class or function that is not allowed.

    Args:
        context: Context of the asset.
        address: Address of the object.
        error: Error of the unpickler.
    """
    return IntegrityError(
        f"Could not load {named(context)} at {address!r}: the object refers to {error.name!r} of module "
        f"{error.module!r}, which is not in `allow` of its handler. If the value needs it, add "
        f"'{error.module}:{error.name}'."
    )


def not_rebuilt(context: InputContext, address: str, header: Header | None, error: Exception) -> RiversError:
    """Return the error for an object that cannot be unpickled.

    Args:
        context: Context of the asset.
        address: Address of the object.
        header: Header of the object; None for an object without footer, whose integrity is unknown.
        error: Error of the unpickler.
    """
    cause = f"{type(error).__name__}: {error}"
    if header is None and isinstance(error, (pickle.UnpicklingError, EOFError)):
        return IntegrityError(
            f"Could not load {named(context)} at {address!r}: the object is not a pickle, or only a part of one "
            f"({cause}). It has no footer, so rivers did not write it. Restore it, or materialize the asset again."
        )
    stored = "" if header is None else f" It contains a {header.type}, written by {header.writer}."
    if isinstance(error, AttributeError) and re.search(r"__main__|__mp_main__", str(error)):
        return RiversError(
            f"Could not load {named(context)} at {address!r}: the object is intact, but a class or function of its "
            f"value was defined in `__main__`, the script or notebook that stored it, and this program is another one "
            f"({cause}).{stored} Move the definition into a module that both programs import, and materialize the "
            "asset again."
        )
    return RiversError(
        f"Could not load {named(context)} at {address!r}: the object is intact, but its value cannot be rebuilt here "
        f"({cause}).{stored} Install what it needs, or materialize the asset again."
    )


def unpicklable(context: OutputContext, obj: object, error: Exception) -> RiversError:
    """Return the error for a value that cannot be pickled.

    Args:
        context: Context of the asset.
        obj: The value.
        error: Error of the pickler.
    """
    subject = f"Could not store {named(context)}: its value ({type(obj).__name__})"
    if isinstance(error, RecursionError):
        return RiversError(
            f"{subject} is nested too deeply to be pickled. Nothing was stored. Return a flatter value, for instance "
            "a list of records instead of linked objects."
        )
    path, part = find_unpicklable(obj)
    kind = f"{type(part).__module__}.{type(part).__qualname__}".removeprefix("builtins.")
    return RiversError(
        f"{subject} cannot be pickled: `{path}` is a {kind} ({error}). Nothing was stored. Return plain data, give the "
        'type a __getstate__ without this part, or keep the asset in memory (io_handler="memory").'
    )
