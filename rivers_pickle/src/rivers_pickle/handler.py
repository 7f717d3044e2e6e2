"""IO handler that pickles values to an object store."""

from __future__ import annotations

import pickle
import time
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, cast

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
    WithJsonSchema,
    model_validator,
)
from pydantic_settings import SettingsConfigDict

from rivers_core import BaseIOHandler, MetadataValue
from rivers_core.authoring import StoreRoot, build_handler, locate_store, store_variables
from rivers_core.exceptions import NotMaterializedError, RiversError
from rivers_pickle import errors, stores
from rivers_pickle.bucket import Bucket
from rivers_pickle.folder import Folder, remove_leftover
from rivers_pickle.format import (
    FormatError,
    Header,
    derive_key,
    encode_footer,
    header_for,
    is_rivers_object,
    verify,
)
from rivers_pickle.layout import asset_folder, normalize_prefix, object_path
from rivers_pickle.nearest import nearest_object
from rivers_pickle.stream import TargetError, Written, write_pickle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import NoReturn, Self

    from rivers_core import InputContext, OutputContext
    from rivers_core.authoring import Locality
    from rivers_pickle.stream import Target


class PickleIOHandler(BaseIOHandler):
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
    location_fields: ClassVar[tuple[str, ...]] = ("store",)
    positional_fields: ClassVar[tuple[str, ...]] = ("store", "prefix", "signing_key")

    store: Annotated[
        Any, AfterValidator(stores.checked_store), WithJsonSchema({"type": "string", "title": "Store"})
    ] = Field(description="An obstore store, a URL or a path.")
    prefix: Annotated[str, AfterValidator(normalize_prefix)] = Field(
        default="", description="Path in the store below which all objects lie."
    )
    signing_key: SecretStr | None = Field(
        default=None,
        min_length=1,
        description="Key that signs objects; then only objects signed with it are loaded.",
    )
    fsync: bool = Field(
        default=False, description="Flush object and folder to the disk before returning; local stores only."
    )
    storage_options: Annotated[dict[str, SecretStr], BeforeValidator(stores.options_as_text)] = Field(
        default_factory=dict, description="Options of the store that a URL names, with obstore's names."
    )

    _objects: Bucket | Folder = PrivateAttr()

    if TYPE_CHECKING:

        def __init__(
            self,
            store: Any = ...,
            prefix: str = "",
            signing_key: SecretStr | str | None = None,
            **settings: Any,
        ) -> None: ...

    @model_validator(mode="after")
    def _settings_fit_the_store(self) -> Self:
        if self.fsync and not stores.is_local(self.store):
            raise ValueError(
                "`fsync` requires a store on a local file system: an object store answers when the object is durable, "
                "and memory never is. Remove it."
            )
        if self.storage_options and not isinstance(self.store, str):
            raise ValueError(
                "`storage_options` require a store given as URL, such as s3://bucket; an obstore store has its own."
            )
        return self

    @classmethod
    def settings_from_variables(
        cls, values: Mapping[str, Any], variables: Mapping[str, str]
    ) -> dict[str, dict[str, str]]:
        """Return the variables that obstore would read from the environment, as storage options."""
        url, options = values.get("store"), values.get("storage_options")
        if not isinstance(url, str):
            return {}
        names = options if isinstance(options, dict) else ()
        supplied = store_variables(url, variables, names)
        return {
            "storage_options": {
                name: value for name, value in supplied.items() if stores.is_option(url, name, value)
            }
        }

    def model_post_init(self, context: Any, /) -> None:
        """Choose how objects are stored; nothing is opened yet."""
        del context
        self._objects = (
            Folder(stores.folder_of(self.store), fsync=self.fsync)
            if stores.is_local(self.store)
            else Bucket(self.store, self._options())
        )

    @property
    def locality(self) -> Locality:
        """`process` for a memory store, `host` for a local folder, `shared` for any other store."""
        return stores.locality_of(self.store)

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        """Pickle a value and write it atomically.

        Args:
            context: Context of the asset; receives the metadata `path`, `uri`, `serializer`, `size_bytes`
                and `write_duration_s` (seconds), and the digest of the pickle stream as data version.
            obj: Any value that can be pickled.

        Raises:
            RiversError: The value cannot be pickled, or the store failed; the previous value is unchanged.
        """
        path = object_path(self.prefix, context)
        started = time.perf_counter()
        written = self._write(context, path, obj)
        context.add_output_metadata(
            {
                "path": path,
                "uri": self._address(path),
                "serializer": "pickle",
                "size_bytes": MetadataValue.int(written.size),
                "write_duration_s": MetadataValue.float_(time.perf_counter() - started),
            }
        )
        context.offer_content_version(written.digest.hex())

    def load_input(self, context: InputContext) -> Any:
        """Read an object, verify it, and unpickle it.

        Args:
            context: Context of the asset.

        Raises:
            NotMaterializedError: The object does not exist.
            IntegrityError: The object is damaged, misplaced, or not signed as required. Nothing of it ran.
            RiversError: The store failed, or a type of the value cannot be imported here.
        """
        path = object_path(self.prefix, context)
        data = self._read(context, path)
        stream, header = self._checked(context, path, data)
        try:
            return pickle.loads(stream)
        except MemoryError:
            raise
        except Exception as error:
            raise errors.not_rebuilt(context, self._address(path), header, error) from error

    def exists(self, context: InputContext) -> bool:
        """Return whether the object exists; it is neither read nor verified."""
        path = object_path(self.prefix, context)
        try:
            return self._objects.exists(path)
        except Exception as error:
            self._fail("look for", context, path, error)

    def delete(self, context: InputContext) -> None:
        """Remove the object, if it exists."""
        path = object_path(self.prefix, context)
        try:
            self._objects.delete(path)
        except Exception as error:
            self._fail("delete", context, path, error)

    def maintain(
        self, contexts: Sequence[InputContext] = (), *, dry_run: bool = True
    ) -> list[dict[str, Any]]:
        """Remove staging files of killed processes from a folder; by default only report them.

        Args:
            contexts: Ignored: staging files do not belong to an asset.
            dry_run: Whether to change nothing.

        Returns:
            One dictionary per file: `file`, `action`, `bytes`, `done`.
        """
        del contexts
        if not isinstance(self._objects, Folder):
            return []
        return [
            {
                "file": file,
                "action": "remove staging file",
                "bytes": size,
                "done": not dry_run and remove_leftover(file),
            }
            for file, size in self._objects.leftovers(self.prefix)
        ]

    def describe_address(self, context: OutputContext | InputContext) -> str:
        """Return the path or URL of the object; for several partitions, of their folder."""
        if context.partition is not None and not context.partition.is_single:
            return self._address(asset_folder(self.prefix, context))
        return self._address(object_path(self.prefix, context))

    def store_root(self) -> StoreRoot:
        """Return store and prefix as a root; every memory store is a separate place."""
        prefix = tuple(filter(None, self.prefix.split("/")))
        if stores.is_memory(self.store):
            owner = self if isinstance(self.store, str) else self.store
            return StoreRoot(self._root, f"memory:{id(owner)}", prefix)
        options = {**(getattr(self.store, "config", None) or {}), **self._options()}
        return locate_store("/".join((self._root, *prefix)), options)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a handler with the same settings except for `update`, which are validated."""
        cls, values = self.configuration()
        return cast("Self", build_handler(cls, {**values, **(update or {})}))

    def __reduce__(self) -> tuple[Callable[..., BaseIOHandler], tuple[Any, ...]]:
        if stores.is_memory(self.store) and not isinstance(self.store, str):
            raise RiversError(
                "Could not pickle a PickleIOHandler with an obstore MemoryStore: its values exist in this process "
                "only. Use a store that both processes can reach, for instance a folder or a bucket."
            )
        return super().__reduce__()

    def _write(self, context: OutputContext, path: str, obj: Any) -> Written:
        try:
            written = write_pickle(self._target(path), obj, self._footer_for(context, obj))
        except TargetError as error:
            self._fail("store", context, path, error.__cause__ or error)
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

    def _read(self, context: InputContext, path: str) -> memoryview:
        try:
            return self._objects.read(path)
        except FileNotFoundError as error:
            if errors.is_missing_bucket(error):
                self._fail("load", context, path, error)
        except Exception as error:
            self._fail("load", context, path, error)
        raise NotMaterializedError(
            context.asset_name,
            partition=None if context.partition is None else context.partition.key,
            handler=type(self).__name__,
            address=self._address(path),
            nearest=lambda: nearest_object(self._objects, self.prefix, context, path),
        )

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
            raise errors.damaged(context, self._address(path), str(error)) from None
        return stream, header

    def _target(self, path: str) -> Target:
        try:
            return self._objects.target(path)
        except Exception as error:
            raise TargetError from error

    def _options(self) -> dict[str, str]:
        return {name: value.get_secret_value() for name, value in self.storage_options.items()}

    def _key(self) -> bytes | None:
        return None if self.signing_key is None else derive_key(self.signing_key.get_secret_value())

    def _address(self, path: str) -> str:
        return f"{self._root}/{path}"

    @cached_property
    def _root(self) -> str:
        return stores.address_of(self.store)

    def _fail(
        self, action: str, context: OutputContext | InputContext, path: str, error: BaseException
    ) -> NoReturn:
        cause = errors.readable(error, stores.secrets_of(self.store, self._options()))
        raise errors.store_failed(action, context, self._address(path), cause) from cause
