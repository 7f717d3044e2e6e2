"""The handler that pickles values to an object store."""

from __future__ import annotations

import pickle
import threading
import time
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, cast

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
from rivers_core.authoring import StoreRoot, build_handler, locate_store
from rivers_core.exceptions import RiversError
from rivers_pickle import failures, stores
from rivers_pickle.format import FormatError, Header, derived_key, described, footer, is_ours, opened
from rivers_pickle.layout import asset_folder, normalised_prefix, object_path
from rivers_pickle.targets import DurableFile, StoredObject, sweep
from rivers_pickle.writing import TargetError, Written, write_pickle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import NoReturn, Self

    from obstore.store import ObjectStore

    from rivers_core import InputContext, OutputContext
    from rivers_core.authoring import Locality
    from rivers_pickle.targets import Target

_CONNECTING: Final = threading.Lock()


class PickleIOHandler(BaseIOHandler):
    """Pickles values to any object store, and checks them before they are unpickled.

    A value is one object, put all or nothing: `<prefix>/<asset>.pkl`, or
    `<prefix>/<asset>/<partition>/data.pkl`. It is an ordinary pickle stream with a footer that `pickle.load`
    does not look at: which asset and partition it belongs to, and a BLAKE3 digest. A damaged, cut or
    misplaced object is refused before anything of it runs. With a `signing_key` so is every object that
    nobody with that key has written.

    Settings can also come from the environment, as `RIVERS_PICKLE_STORE` and so on.

    Args:
        store: An obstore store, a URL (`file:`, `s3://`, `gs://`, `az://`, `memory://`, ...) or a path. A
            relative path is relative to the working folder, in a config file to that file.
        prefix: A path below the store under which all objects lie.
        signing_key: Signs what is stored; then nothing unsigned, foreign or changed is ever unpickled.
        fsync: Whether an object and its folder are on the disk before `handle_output` returns; local stores
            only.
        storage_options: Settings of the store that a URL names: `access_key_id`, `region`, `endpoint`,
            `allow_http`, `timeout`, `max_retries`, ... as obstore calls them. They are never shown.

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
    prefix: Annotated[str, AfterValidator(normalised_prefix)] = Field(
        default="", description="A path below the store under which all objects lie."
    )
    signing_key: SecretStr | None = Field(
        default=None, min_length=1, description="Signs objects; then only objects signed with it are loaded."
    )
    fsync: bool = Field(
        default=False, description="Flush object and folder to the disk before returning; local stores only."
    )
    storage_options: Annotated[dict[str, SecretStr], BeforeValidator(stores.options_as_text)] = Field(
        default_factory=dict, description="Settings of the store that a URL names, as obstore calls them."
    )

    _store: Any = PrivateAttr(default=None)

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
                "`fsync` is for stores on this machine's file system; an object store answers when the "
                "object is durable, and memory never is. Leave it out."
            )
        if self.storage_options and not isinstance(self.store, str):
            raise ValueError(
                "`storage_options` are for a store given as URL, such as s3://bucket; an obstore store has "
                "its own."
            )
        return self

    @property
    def locality(self) -> Locality:
        """Readers of the store: the process of a memory store, the host of a folder, everybody else's bucket."""
        return stores.locality_of(self.store)

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        """Pickle a value and put it, all or nothing.

        Args:
            context: Which asset and partition; gets the metadata `path`, `uri`, `serializer`, `size_bytes`
                and `write_duration_s` (seconds), and the digest of the pickle stream as data version.
            obj: Any value that can be pickled.

        Raises:
            RiversError: The value cannot be pickled or the store failed; what was stored before is still
                there.
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
        """Get an object, check it, and unpickle it.

        Args:
            context: Which asset and partition.

        Raises:
            NotMaterializedError: There is no such object.
            IntegrityError: The object is damaged, misplaced, or not signed as it has to be. Nothing of it
                ran.
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
            raise failures.not_rebuilt(context, self._address(path), header, error) from error

    def exists(self, context: InputContext) -> bool:
        """Whether there is an object; it is neither read nor checked."""
        import obstore

        path = object_path(self.prefix, context)
        try:
            store = self._connected(create=False)
            if store is not None:
                obstore.head(store, path)
        except FileNotFoundError:
            return False
        except Exception as error:
            self._fail("look for", context, path, error)
        return store is not None

    def delete(self, context: InputContext) -> None:
        """Remove the object; what was never stored is no error."""
        import obstore

        path = object_path(self.prefix, context)
        try:
            store = self._connected(create=False)
            if store is not None:
                obstore.delete(store, path)
        except FileNotFoundError:
            return
        except Exception as error:
            self._fail("delete", context, path, error)

    def describe_address(self, context: OutputContext | InputContext) -> str:
        """The path or URL of the object; of the folder, if the context is for several partitions."""
        if context.partition is not None and not context.partition.is_single:
            return self._address(asset_folder(self.prefix, context))
        return self._address(object_path(self.prefix, context))

    def store_root(self) -> StoreRoot:
        """Return the root of the store with the prefix; every memory store is a place of its own."""
        prefix = tuple(filter(None, self.prefix.split("/")))
        if stores.is_memory(self.store):
            owner = self if isinstance(self.store, str) else self.store
            return StoreRoot(self._root, f"memory:{id(owner)}", prefix)
        options = {**(getattr(self.store, "config", None) or {}), **self._options()}
        return locate_store("/".join((self._root, *prefix)), options)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A handler of its own with the same settings but for `update`, which are validated."""
        cls, values = self.configuration()
        return cast("Self", build_handler(cls, {**values, **(update or {})}))

    def __reduce__(self) -> tuple[Callable[..., BaseIOHandler], tuple[Any, ...]]:
        if stores.is_memory(self.store) and not isinstance(self.store, str):
            raise RiversError(
                "This PickleIOHandler holds an obstore MemoryStore, which lives in this process and cannot "
                "travel to another. Use a store that both can reach, for instance a folder or a bucket."
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
            raise failures.unpicklable(context, obj, error) from error
        if stores.is_local(self.store):
            sweep(self._address(path))
        return written

    def _footer_for(self, context: OutputContext, obj: Any) -> Callable[[int, bytes], bytes]:
        def footer_for(stream_length: int, stream_digest: bytes) -> bytes:
            header = described(context, obj, stream_digest)
            return footer(header, stream_length=stream_length, stream_digest=stream_digest, key=self._key())

        return footer_for

    def _read(self, context: InputContext, path: str) -> memoryview:
        import obstore

        store = None
        try:
            store = self._connected(create=False)
            if store is not None:
                return memoryview(obstore.get(store, path).bytes())
        except FileNotFoundError as error:
            if failures.lacks_bucket(error):
                self._fail("load", context, path, error)
        except Exception as error:
            self._fail("load", context, path, error)
        raise failures.not_materialized(
            store, self.prefix, context, handler=type(self).__name__, path=path, address=self._address(path)
        )

    def _checked(
        self, context: InputContext, path: str, data: memoryview
    ) -> tuple[memoryview, Header | None]:
        """The stream that may be unpickled; the header is None for an object that rivers did not write."""
        key = self._key()
        try:
            if not is_ours(data):
                if key is None:
                    return data, None
                raise FormatError("has no footer, and this handler loads only what its `signing_key` signed")
            stream, header = opened(data, key)
            if header.key != context.storage_key:
                raise FormatError(f"was stored as {header.key!r} and is here by mistake")
        except FormatError as error:
            raise failures.damaged(context, self._address(path), str(error)) from None
        return stream, header

    def _target(self, path: str) -> Target:
        if self.fsync:
            return DurableFile(stores.folder_of(self.store), path)
        try:
            store = self._connected(create=True)
        except Exception as error:
            raise TargetError from error
        return StoredObject(cast("ObjectStore", store), path)

    def _connected(self, *, create: bool) -> ObjectStore | None:
        """The live store, made once; None if it is a folder that does not exist and is not to be created."""
        store: ObjectStore | None = self._store
        if store is None and (create or not stores.is_missing_folder(self.store)):
            with _CONNECTING:
                store = self._store = self._store or stores.connected(self.store, self._options())
        return store

    def _options(self) -> dict[str, str]:
        return {name: value.get_secret_value() for name, value in self.storage_options.items()}

    def _key(self) -> bytes | None:
        return None if self.signing_key is None else derived_key(self.signing_key.get_secret_value())

    def _address(self, path: str) -> str:
        return f"{self._root}/{path}"

    @cached_property
    def _root(self) -> str:
        return stores.address_of(self.store)

    def _fail(
        self, doing: str, context: OutputContext | InputContext, path: str, error: BaseException
    ) -> NoReturn:
        secrets = stores.secrets_of(self.store, self._options())
        cause = failures.showable(error, secrets)
        raise failures.store_failure(doing, context, self._address(path), cause) from cause
