"""IO handler that keeps each value as one JSON document."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import from_json
from pydantic_settings import SettingsConfigDict

from rivers_core.exceptions import IntegrityError, RiversError
from rivers_objects import ObjectIOHandler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import SecretStr

    from rivers_core import InputContext, OutputContext


class JsonIOHandler(ObjectIOHandler):
    """Keep each value as one JSON document, `<prefix>/<asset>.json`, written atomically.

    The return annotation of the function determines how a value is encoded, the annotation of the consumer's parameter
    how it is decoded: pydantic models, dataclasses, dates, decimals, sets, and containers of them. A value that would
    be loaded as a different one, such as a tuple without an annotation, is rejected.

    Args:
        store: An obstore store, a URL (`file:`, `s3://`, `gs://`, `az://`, `memory://`, ...) or a path.
        prefix: Path in the store below which all documents lie.
        indent: Spaces per level of a document that people read; None for one line.
        fsync: Flush a document and its folder to the disk before `handle_output` returns; local stores only.
        storage_options: Options of the store that a URL names, with obstore's names. Their values are never shown.

    Examples:
        >>> from datetime import date
        >>> from rivers_core import InputContext, OutputContext
        >>> handler = JsonIOHandler("memory://")
        >>> handler.handle_output(OutputContext("days", type_hint=list[date]), [date(2024, 2, 29)])
        >>> handler.load_input(InputContext("days", "report", type_hint=list[date]))
        [datetime.date(2024, 2, 29)]
    """

    model_config = SettingsConfigDict(env_prefix="RIVERS_JSON_", frozen=True)
    suffix: ClassVar[str] = ".json"

    indent: int | None = Field(default=None, ge=0, description="Spaces per level; None for one line.")

    if TYPE_CHECKING:

        def __init__(
            self,
            store: Any = ...,
            prefix: str = "",
            *,
            indent: int | None = None,
            fsync: bool = False,
            storage_options: Mapping[str, SecretStr | str | int | float] | None = None,
        ) -> None: ...

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        """Write a value as one document.

        Args:
            context: Context of the asset; receives the metadata `path`, `uri` and `size_bytes`, and the digest of the
                document as data version.
            obj: The value.

        Raises:
            RiversError: JSON cannot hold the value, or the store failed; the previous value is unchanged.
        """
        document = self._document(context, obj)
        path = self.object_path(context)
        try:
            self.objects.target(path).put(document)
        except Exception as error:
            self.fail("store", context, path, error)
        context.add_output_metadata(
            {"path": path, "uri": self.object_address(path), "size_bytes": len(document)}
        )
        context.offer_content_version(_digest(document))

    def load_input(self, context: InputContext) -> Any:
        """Read a document, as the type that the consumer requests.

        Args:
            context: Context of the asset.

        Raises:
            NotMaterializedError: The document does not exist.
            IntegrityError: The document is not JSON, or only a part of it.
            RiversError: It does not match the requested type, or the store failed.
        """
        path = self.object_path(context)
        document = bytes(self.read_object(context, path))
        address = self.object_address(path)
        try:
            # a document ends with a newline: without one, 12 may be the rest of 1234
            value = (
                from_json(document, allow_inf_nan=False) if not document[-1:].isdigit() else from_json(b"")
            )
        except ValueError as error:
            raise IntegrityError(
                f"Could not load asset {context.asset_name!r}: {address!r} is not a JSON document, or only a part of "
                f"one ({error}). Materialize it again."
            ) from None
        context.register_loaded_version(_digest(document))
        if context.type_hint is None:
            return value
        try:
            return _adapter(context.type_hint).validate_json(document)
        except ValidationError as error:
            raise RiversError(
                f"Could not load asset {context.asset_name!r} for {context.downstream_asset!r}: {address!r} does not "
                f"match {context.type_hint}: {_first_problem(error)}. Correct the annotation, or materialize it again."
            ) from None

    def accepts_type(self, hint: Any) -> bool:
        """Return whether values of an annotation have a JSON form.

        Args:
            hint: Return annotation of the function.
        """
        try:
            _adapter(hint)
        except Exception:  # pydantic raises several classes for unsupported types
            return isinstance(hint, str)
        return True

    def can_load_type(self, hint: Any) -> bool:
        """Return whether a document can be loaded as an annotation.

        Args:
            hint: Annotation of the parameter that receives the value.
        """
        return self.accepts_type(hint)

    def _document(self, context: OutputContext, obj: Any) -> bytes:
        """Return the document of a value, after checking that decoding it returns an equal value."""
        try:
            adapter = _adapter(Any if context.type_hint is None else context.type_hint)
            document = adapter.dump_json(obj, indent=self.indent, warnings="error") + b"\n"
            is_same = bool(adapter.validate_json(document) == obj)
        except Exception as error:  # pydantic calls methods of the value
            reason = _first_problem(error) if isinstance(error, ValidationError) else str(error)
            raise self._not_json(context, obj, reason) from error
        if not is_same:
            raise self._not_json(
                context, obj, f"as {context.type_hint or 'JSON'} it would be loaded as a different value"
            )
        return document

    def _not_json(self, context: OutputContext, obj: Any, reason: str) -> RiversError:
        partition = "" if context.partition is None else f" (partition {str(context.partition.key)!r})"
        return RiversError(
            f"Could not store asset {context.asset_name!r}{partition}: a {type(obj).__name__} that JSON cannot hold: "
            f"{reason}. Nothing was stored. Annotate the function with the exact type, such as list[Order], or return "
            "another one."
        )


@lru_cache(maxsize=1024)
def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint)


def _digest(document: bytes) -> str:
    return sha256(document).hexdigest()


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, problem["loc"]))
    return f"{place}: {problem['msg']}" if place else str(problem["msg"])
