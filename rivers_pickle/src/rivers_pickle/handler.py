"""IO handler that pickles values to an object store."""

from __future__ import annotations

import pickle
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from rivers_core import MetadataValue
from rivers_objects import Condition, ObjectIOHandler
from rivers_pickle import errors
from rivers_pickle.format import (
    FormatError,
    Header,
    derive_key,
    encode_footer,
    header_for,
    is_rivers_object,
    verify,
    version_in_tail,
    version_of,
)
from rivers_pickle.stream import TargetError, Written, write_pickle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rivers_core import InputContext, OutputContext
    from rivers_objects import Target


_warned_names: Final[set[str]] = set()


def _warn_of_main(context: OutputContext, name: str) -> None:
    """Warn, once per class or function, of a value that only the program that stored it can load."""
    if name not in _warned_names:
        _warned_names.add(name)
        context.log.warning(
            "The value of asset %r refers to %s, which is defined in `__main__`, so that other programs cannot load "
            "it. Move the definition into a module that they import.",
            context.asset_name,
            name,
        )


class PickleIOHandler(ObjectIOHandler):
    """Pickle values to any object store, and verify them before they are unpickled.

    A value is one object, written atomically: `<prefix>/<asset>.pkl`, or
    `<prefix>/<asset>/<partition>/data.pkl`. It is an ordinary pickle stream with a footer that `pickle.load`
    ignores: asset, partition and a BLAKE3 digest. A damaged, truncated or misplaced object is refused before
    anything of it runs. With a `signing_key`, so is every object that was not signed with this key.

    Settings are also read from environment variables such as `RIVERS_PICKLE_STORE`.

    Args:
        store: An obstore store, a URL (`file:`, `s3://`, `gs://`, `az://`, `memory://`, ...) or a path. A
            relative path is relative to the working folder, in a config file to that file.
        prefix: Path in the store below which all objects lie.
        signing_key: Key that signs objects; then no unsigned, foreign or changed object is ever unpickled.
        fsync: Flush an object and its folder to the disk before `handle_output` returns; local stores only.
        storage_options: Options of the store that a URL names, with obstore's names: `access_key_id`, `region`,
            `endpoint`, `allow_http`, `timeout`, `max_retries`, ... Their values are never shown.

    Examples:
        >>> from rivers_core import InputContext, OutputContext
        >>> handler = PickleIOHandler("memory://")
        >>> handler.handle_output(OutputContext("numbers"), [1, 2, 3])
        >>> handler.load_input(InputContext("numbers", "total"))
        [1, 2, 3]
    """

    model_config = SettingsConfigDict(env_prefix="RIVERS_PICKLE_", frozen=True)
    positional_fields: ClassVar[tuple[str, ...]] = ("store", "prefix", "signing_key")
    suffix: ClassVar[str] = ".pkl"
    conditional_writes: ClassVar[Any] = True

    signing_key: SecretStr | None = Field(
        default=None,
        min_length=1,
        description="Key that signs objects; then only objects signed with it are loaded.",
    )

    if TYPE_CHECKING:

        def __init__(
            self,
            store: Any = ...,
            prefix: str = "",
            signing_key: SecretStr | str | None = None,
            *,
            fsync: bool = False,
            storage_options: Mapping[str, SecretStr | str] | None = None,
        ) -> None: ...

    @property
    def is_signed(self) -> bool:
        """True with a signing key."""
        return self.signing_key is not None

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        """Pickle a value and write it atomically.

        Args:
            context: Context of the asset; receives the metadata `path`, `uri`, `serializer`, `size_bytes`
                and `write_duration_s` (seconds), and the digest of the pickle stream as data version.
            obj: Any value that can be pickled.

        Raises:
            RiversError: The value cannot be pickled, or the store failed; the previous value is unchanged.
            ConflictError: Another version than `context.expected_version` is stored.
        """
        path = self.object_path(context)
        started = time.perf_counter()
        written = self._write(context, path, obj)
        context.add_output_metadata(
            {
                "path": path,
                "uri": self.object_address(path),
                "serializer": "pickle",
                "size_bytes": MetadataValue.int(written.size),
                "write_duration_s": MetadataValue.float_(time.perf_counter() - started),
            }
        )
        context.offer_content_version(written.digest.hex())
        if written.main_global is not None and self.locality != "process":
            _warn_of_main(context, written.main_global)

    def load_input(self, context: InputContext) -> Any:
        """Read an object, verify it, and unpickle it.

        Args:
            context: Context of the asset.

        Raises:
            NotMaterializedError: The object does not exist.
            IntegrityError: The object is damaged, misplaced, or not signed as required. Nothing of it ran.
            RiversError: The store failed, or a type of the value cannot be imported here.
        """
        path = self.object_path(context)
        data = self.read_object(context, path)
        stream, header = self._checked(context, path, data)
        context.register_loaded_version(
            version_of(data, header),
            stored_at=None if header is None else datetime.fromisoformat(header.created),
        )
        try:
            return pickle.loads(stream)
        except MemoryError:
            raise
        except Exception as error:
            raise errors.not_rebuilt(context, self.object_address(path), header, error) from error

    def stored_version(self, context: InputContext) -> str:
        """Return the version of the object, which is read and verified, and not unpickled."""
        path = self.object_path(context)
        data = self.read_object(context, path)
        return version_of(data, self._checked(context, path, data)[1])

    def verify(self, context: InputContext) -> dict[str, int]:
        """Read an object and compare it with its digest, without unpickling it.

        Args:
            context: Context of the asset.

        Returns:
            The number of `bytes`, and of `digests` that were compared: none for an object without a footer.

        Raises:
            NotMaterializedError: The object does not exist.
            IntegrityError: The object is damaged, misplaced, or not signed as required.
        """
        path = self.object_path(context)
        data = self.read_object(context, path)
        _, header = self._checked(context, path, data)
        return {"bytes": len(data), "digests": 0 if header is None else 1}

    def _write(self, context: OutputContext, path: str, obj: Any) -> Written:
        try:
            target = self._target(path, context.expected_version)
            written = write_pickle(target, obj, self._footer_for(context, obj))
        except TargetError as error:
            self.fail("store", context, path, error.__cause__ or error)
        except MemoryError:
            raise
        except Exception as error:
            raise errors.unpicklable(context, obj, error) from error
        return written

    def _footer_for(self, context: OutputContext, obj: Any) -> Callable[[int, bytes], bytes]:
        def footer_for(stream_length: int, stream_digest: bytes) -> bytes:
            header = header_for(context, obj, stream_digest)
            return encode_footer(
                header, stream_length=stream_length, stream_digest=stream_digest, key=self._key()
            )

        return footer_for

    def _checked(
        self, context: InputContext, path: str, data: memoryview
    ) -> tuple[memoryview, Header | None]:
        """Return the verified stream; the header is None for an object that rivers did not write."""
        key = self._key()
        try:
            if not is_rivers_object(data):
                if key is None:
                    return data, None
                raise FormatError(
                    "has no footer, but this handler only loads objects signed with its `signing_key`"
                )
            stream, header = verify(data, key)
            if header.key != context.storage_key:
                raise FormatError(f"was stored as {header.key!r} and does not belong here")
        except FormatError as error:
            raise errors.damaged(context, self.object_address(path), str(error)) from None
        return stream, header

    def _target(self, path: str, expected: str | None) -> Target:
        try:
            return self.objects.target(
                path, None if expected is None else Condition(expected, version_in_tail)
            )
        except Exception as error:
            raise TargetError from error

    def _key(self) -> bytes | None:
        return None if self.signing_key is None else derive_key(self.signing_key.get_secret_value())
