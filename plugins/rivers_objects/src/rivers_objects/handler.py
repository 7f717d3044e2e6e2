"""Base class of handlers that keep one object per value."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, cast

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    WithJsonSchema,
    model_validator,
)
from pydantic_settings import SettingsConfigDict

from rivers_core import BaseIOHandler, OutputContext
from rivers_core.authoring import StoreRoot, build_handler, locate_store
from rivers_core.exceptions import NotMaterializedError, RiversError
from rivers_objects import errors, stores
from rivers_objects.bucket import Bucket
from rivers_objects.folder import Folder
from rivers_objects.layout import asset_folder, normalize_prefix, object_path
from rivers_objects.nearest import nearest_object
from rivers_objects.store_options import store_variables
from rivers_objects.targets import ReplacedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import NoReturn, Self

    from rivers_core import InputContext
    from rivers_core.authoring import Locality


class ObjectIOHandler(BaseIOHandler):
    """Keep each value as one object in a folder or any object store.

    An object is `<prefix>/<asset><suffix>`, or `<prefix>/<asset>/<partition>/data<suffix>`. A subclass sets `suffix`
    and implements `handle_output` and `load_input`.

    Args:
        store: An obstore store, a URL (`file:`, `s3://`, `gs://`, `az://`, `memory://`, ...) or a path. A
            relative path is relative to the working folder, in a config file to that file.
        prefix: Path in the store below which all objects lie.
        fsync: Flush an object and its folder to the disk before `handle_output` returns; local stores only.
        storage_options: Options of the store that a URL names, with obstore's names: `access_key_id`, `region`,
            `endpoint`, `allow_http`, `timeout`, `max_retries`, ... Their values are never shown.

    Examples:
        >>> from rivers_core import InputContext, OutputContext
        >>> class BytesIOHandler(ObjectIOHandler):
        ...     suffix = ".bin"
        ...
        ...     def handle_output(self, context, obj):
        ...         self.objects.target(self.object_path(context)).put(obj)
        ...
        ...     def load_input(self, context):
        ...         return bytes(self.read_object(context, self.object_path(context)))
        >>> handler = BytesIOHandler("memory://")
        >>> handler.handle_output(OutputContext("greeting"), b"hello")
        >>> handler.load_input(InputContext("greeting", "letter"))
        b'hello'
    """

    model_config = SettingsConfigDict(frozen=True)
    location_fields: ClassVar[tuple[str, ...]] = ("store",)
    positional_fields: ClassVar[tuple[str, ...]] = ("store", "prefix")

    suffix: ClassVar[str]
    """Suffix of all objects, with its dot: `.pkl`."""

    store: Annotated[
        Any, AfterValidator(stores.checked_store), WithJsonSchema({"type": "string", "title": "Store"})
    ] = Field(description="An obstore store, a URL or a path.")
    prefix: Annotated[str, AfterValidator(normalize_prefix)] = Field(
        default="", description="Path in the store below which all objects lie."
    )
    fsync: bool = Field(
        default=False, description="Flush object and folder to the disk before returning; local stores only."
    )
    storage_options: Annotated[dict[str, SecretStr], BeforeValidator(stores.options_as_text)] = Field(
        default_factory=dict, description="Options of the store that a URL names, with obstore's names."
    )

    if TYPE_CHECKING:

        def __init__(self, store: Any = ..., prefix: str = "", **settings: Any) -> None: ...

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
    def durable_settings(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return `fsync` for a store on a local file system."""
        store = values.get("store")
        try:
            return {"fsync": True} if stores.is_local(stores.checked_store(store)) else {}
        except (TypeError, ValueError, RiversError):
            return {}  # reported when the settings are validated

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
        """Choose how objects are stored, before threads share the handler: each memory store is a separate one."""
        del context
        _ = self.objects

    @property
    def locality(self) -> Locality:
        """`process` for a memory store, `host` for a local folder, `shared` for any other store."""
        return stores.locality_of(self.store)

    # not a private attribute: pydantic (2.x) needs 3 microseconds for each access to one
    @cached_property
    def objects(self) -> Bucket | Folder:
        """The objects of the store; nothing is opened yet."""
        if stores.is_local(self.store):
            return Folder(stores.folder_of(self.store), fsync=self.fsync)
        return Bucket(self.store, self.plain_storage_options())

    def exists(self, context: InputContext) -> bool:
        """Return whether the object exists; it is neither read nor verified."""
        path = self.object_path(context)
        try:
            return self.objects.exists(path)
        except Exception as error:
            self.fail("look for", context, path, error)

    def delete(self, context: InputContext) -> None:
        """Remove the object, if it exists."""
        path = self.object_path(context)
        try:
            self.objects.delete(path)
        except Exception as error:
            self.fail("delete", context, path, error)

    def maintain(
        self, contexts: Sequence[InputContext] = (), *, dry_run: bool = True
    ) -> list[dict[str, Any]]:
        """Remove what killed processes left behind; by default only report it.

        In a folder these are staging files, in S3 unfinished multipart uploads that were started a day ago.

        Args:
            contexts: Ignored: leftovers do not belong to an asset.
            dry_run: Whether to change nothing.

        Returns:
            One dictionary per leftover: `file`, `action`, `bytes`, `done`.

        Raises:
            RiversError: The store cannot be listed.
        """
        del contexts
        return [
            {
                "file": leftover.address,
                "action": leftover.action,
                "bytes": leftover.size,
                "done": not dry_run and leftover.remove(),
            }
            for leftover in self.objects.leftovers(self.prefix)
        ]

    def object_path(self, context: OutputContext | InputContext) -> str:
        """Return the path of the object in the store.

        Args:
            context: Context of the asset.

        Raises:
            PartitionValidationError: The context carries several partition keys.
        """
        return object_path(self.prefix, context, self.suffix)

    def object_address(self, path: str) -> str:
        """Return the address of an object, without credentials.

        Args:
            path: Path in the store.
        """
        return f"{self._root}/{path}"

    def describe_address(self, context: OutputContext | InputContext) -> str:
        """Return the path or URL of the object; for several partitions, of their folder."""
        if context.partition is not None and not context.partition.is_single:
            return self.object_address(asset_folder(self.prefix, context, self.suffix))
        return self.object_address(self.object_path(context))

    def store_root(self) -> StoreRoot:
        """Return store and prefix as a root; every memory store is a separate place."""
        prefix = tuple(filter(None, self.prefix.split("/")))
        if stores.is_memory(self.store):
            owner = self if isinstance(self.store, str) else self.store
            return StoreRoot(self._root, f"memory:{id(owner)}", prefix)
        options = {**(getattr(self.store, "config", None) or {}), **self.plain_storage_options()}
        return locate_store("/".join((self._root, *prefix)), options)

    def plain_storage_options(self) -> dict[str, str]:
        """Return the storage options as obstore takes them. Handle with care: these are credentials."""
        return {name: value.get_secret_value() for name, value in self.storage_options.items()}

    def read_object(self, context: InputContext, path: str) -> memoryview:
        """Return the bytes of an object.

        Args:
            context: Context of the asset.
            path: Path in the store.

        Raises:
            NotMaterializedError: The object does not exist.
            RiversError: The store failed.
        """
        try:
            return self.objects.read(path)
        except Exception as error:
            self.fail_read(context, path, error)

    def fail_read(self, context: InputContext, path: str, error: BaseException) -> NoReturn:
        """Raise the error for an object that could not be read.

        Args:
            context: Context of the asset.
            path: Path in the store.
            error: Error of the store.

        Raises:
            NotMaterializedError: The object does not exist.
            RiversError: The store failed.
        """
        if not isinstance(error, FileNotFoundError):
            self.fail("load", context, path, error)
        raise NotMaterializedError(
            context.asset_name,
            partition=None if context.partition is None else context.partition.key,
            handler=type(self).__name__,
            address=self.object_address(path),
            nearest=lambda: nearest_object(self.objects, self.prefix, context, path, self.suffix),
        )

    def fail(
        self, action: str, context: OutputContext | InputContext, path: str, error: BaseException
    ) -> NoReturn:
        """Raise the error for a failure of the store, without credentials.

        Args:
            action: `store`, `load`, `look for` or `delete`.
            context: Context of the asset.
            path: Path in the store.
            error: Error of the store.

        Raises:
            ConflictError: A conditional write found another version.
            RiversError: Otherwise.
        """
        if isinstance(error, ReplacedError) and isinstance(context, OutputContext):
            raise errors.replaced(context, self.object_address(path), error.version) from None
        cause = errors.readable(error, stores.secrets_of(self.store, self.plain_storage_options()))
        raise errors.store_failed(action, context, self.object_address(path), cause) from cause

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a handler with the same settings except for `update`, which are validated."""
        cls, values = self.configuration()
        return cast("Self", build_handler(cls, {**values, **(update or {})}))

    def __reduce__(self) -> tuple[Callable[..., BaseIOHandler], tuple[Any, ...]]:
        if stores.is_memory(self.store) and not isinstance(self.store, str):
            raise RiversError(
                f"Could not pickle a {type(self).__name__} with an obstore MemoryStore: its values exist in this "
                "process only. Use a store that both processes can reach, for instance a folder or a bucket."
            )
        return super().__reduce__()

    @cached_property
    def _root(self) -> str:
        return stores.address_of(self.store)
