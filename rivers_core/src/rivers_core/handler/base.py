"""Contract of an IO handler."""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import ValidationError, model_validator
from pydantic_core import InitErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from rivers_core.awaitables import is_async_method, resolve_awaitable
from rivers_core.exceptions import NotMaterializedError, RiversError
from rivers_core.handler.settings import (
    add_variable_notes,
    build_handler,
    name_positional,
    reads_arguments_only,
    reject_unknown,
)
from rivers_core.redaction import redacted_field

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping
    from datetime import datetime, timedelta
    from typing import Self

    from rivers_core._locations import StoreRoot
    from rivers_core.contexts import InputContext, OutputContext

Locality = Literal["process", "host", "shared"]
"""Who else can read what a handler stored: this process, all processes of this host, or all hosts."""


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """One version of a value that can be loaded.

    Args:
        version: Its identifier: the text that `offer_content_version` got when the value was stored.
        stored_at: When it was stored, with a time zone; None if the store does not record it.
        size_bytes: Its size in the store; None if unknown.
        is_current: Whether `load_input` returns it without a version.
    """

    version: str
    stored_at: datetime | None = None
    size_bytes: int | None = None
    is_current: bool = False


class BaseIOHandler(BaseSettings, ABC):
    """Base class of IO handlers: store the result of a function, and load it for the next one.

    A subclass implements `handle_output` and `load_input`, plain or `async`; everything else has a default. Fields
    are settings, read from arguments, environment variables, or a `.env` file in the working folder. An instance is
    built once per process, and pickled as class and field values: create connections on first use, in private
    attributes or cached properties.

    Examples:
        >>> from pathlib import Path
        >>> from rivers_core import InputContext, OutputContext
        >>> class TextIOHandler(BaseIOHandler):
        ...     folder: str = "."
        ...
        ...     def handle_output(self, context, obj):
        ...         Path(self.folder, context.storage_key).write_text(obj)
        ...
        ...     def load_input(self, context):
        ...         return Path(self.folder, context.storage_key).read_text()
        >>> handler = TextIOHandler()
        >>> handler.handle_output(OutputContext("greeting"), "hello")
        >>> handler.load_input(InputContext("greeting", "letter"))
        'hello'
    """

    model_config = SettingsConfigDict(
        extra="forbid",
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        env_file=".env",
        dotenv_filtering="only_existing",
    )

    # Capabilities belong to the instance. A subclass sets a plain class attribute or overrides it with a property;
    # `ClassVar[Any]` is the one declaration that pydantic, mypy and pyright accept for both.

    locality: ClassVar[Any] = "host"
    """`Locality`: readers of what this handler stored, the same process, the same host or everybody."""

    partition_batches: ClassVar[Any] = False
    """`bool`: one call may carry several partition keys. Otherwise the engine calls once per key."""

    conditional_writes: ClassVar[Any] = False
    """`bool`: `handle_output` honors `OutputContext.expected_version`. It compares and stores in one atomic step, and
    raises `ConflictError`, with nothing stored, if another version is stored. Such a handler reports the version of
    each value that it loads with `InputContext.register_loaded_version`."""

    always_conditional: ClassVar[Any] = False
    """`bool`: every write of a step is conditional on the version that was stored when the step began, which the
    engine asks of `stored_version`; otherwise only that of a step which continues its own value. Needs
    `conditional_writes`."""

    has_versions: ClassVar[Any] = False
    """`bool`: earlier versions of a value can be loaded. `load_input` honors `InputContext.version`, and `versions`
    lists them."""

    is_signed: ClassVar[Any] = False
    """`bool`: stored values are authenticated, so that the engine refuses an older one that was put back."""

    can_delete: ClassVar[Any] = property(lambda self: type(self).delete is not BaseIOHandler.delete)
    """`bool`: `delete` is supported. By default true for a class that overrides `delete`."""

    is_async_output: ClassVar[Any] = property(lambda self: is_async_method(type(self).handle_output))
    """`bool`: `handle_output` returns an awaitable. By default true if it is declared `async`."""

    is_async_input: ClassVar[Any] = property(lambda self: is_async_method(type(self).load_input))
    """`bool`: `load_input` returns an awaitable. By default true if it is declared `async`."""

    option_namespace: ClassVar[str | None] = None
    """Prefix of metadata keys that are options of this handler, without the slash: `delta` for `delta/mode`."""

    location_fields: ClassVar[tuple[str, ...]] = ()
    """Text fields that hold a path or URL; a relative one in a config file is relative to that file.

    Fields annotated `Path` need not be listed.
    """

    positional_fields: ClassVar[tuple[str, ...]] = ()
    """Fields that are also accepted by position, in this order; all others only by name."""

    @abstractmethod
    def handle_output(self, context: OutputContext, obj: Any) -> Awaitable[None] | None:
        """Store a value. Return only after it is stored; otherwise raise.

        Args:
            context: Asset and partition; build addresses from `context.storage_key`.
            obj: The value that the function returned.

        Raises:
            ConflictError: `context.expected_version` is set, and another version is stored.
        """

    @abstractmethod
    def load_input(self, context: InputContext) -> Any:
        """Load a stored value.

        Args:
            context: Asset and partition, the downstream asset, and the requested type.

        Returns:
            The value, as `context.type_hint` if the handler supports that type.

        Raises:
            NotMaterializedError: The value was never stored; any other error aborts the run.
        """

    def exists(self, context: InputContext) -> bool:
        """Return whether a value is stored. The default loads it; override it with a cheaper check.

        Args:
            context: Asset and partition.

        Returns:
            False if the value was never stored; other errors are raised.
        """
        try:
            resolve_awaitable(self.load_input(context))
        except (NotMaterializedError, FileNotFoundError):
            return False
        return True

    def stored_version(self, context: InputContext) -> str | None:
        """Return the version of a stored value, checking the value as far as the handler can.

        `status(verify=True)` compares it with the event log. The default loads the value.

        Args:
            context: Asset and partition.

        Returns:
            The version that `load_input` would report with `register_loaded_version`; None if it does not report one.

        Raises:
            NotMaterializedError: Nothing is stored.
            IntegrityError: The value is damaged.
        """
        resolve_awaitable(self.load_input(context))
        return context.loaded_version

    def delete(self, context: InputContext) -> None:
        """Remove a stored value; removing what was never stored is a no-op. The default raises.

        Args:
            context: Asset and partition.

        Raises:
            RiversError: This handler does not support deletion.
        """
        raise RiversError(
            f"Could not delete asset {context.asset_name!r}: {type(self).__name__} does not support deletion. "
            "Remove the value in the store itself, or implement `delete(context)`."
        )

    def versions(self, context: InputContext) -> list[StoredVersion]:
        """Return the versions of a value that can be loaded, the current one first. The default raises.

        Args:
            context: Asset and partition.

        Returns:
            An empty list if nothing was stored.

        Raises:
            RiversError: This handler does not keep versions.
        """
        raise self._without_versions(context)

    def restore(self, context: OutputContext, version: str) -> str | None:
        """Make an earlier version the current value. The default loads it and stores it again.

        Override it if `handle_output` adds to a value instead of replacing it, or to avoid building the value.

        Args:
            context: Asset and partition; receives metadata and version of the new value, as in `handle_output`.
            version: A version that `versions` lists; a handler may accept other forms, such as an abbreviation.

        Returns:
            The version as `versions` lists it; None if that is `version`.

        Raises:
            VersionNotFoundError: The version is not stored.
        """
        from rivers_core.contexts import InputContext

        source = InputContext(
            context.asset_name,
            "restore",
            context.asset_metadata,
            context.partition,
            context.type_hint,
            run_id=context.run_id,
            version=version,
        )
        value = resolve_awaitable(self.load_input(source))
        resolve_awaitable(self.handle_output(context, value))
        return None

    def prune(
        self,
        context: InputContext,
        *,
        keep: int | None = None,
        older_than: timedelta | None = None,
        dry_run: bool = True,
    ) -> list[StoredVersion]:
        """Remove earlier versions of a value; by default only report them. The current value stays.

        A version is removed if it meets every condition that is given. The default raises.

        Args:
            context: Asset and partition; without a partition the whole asset, for a handler with `partition_batches`.
            keep: Number of earlier versions that stay.
            older_than: Age that a version must exceed.
            dry_run: Whether to change nothing.

        Returns:
            The versions that were (or would be) removed.

        Raises:
            RiversError: This handler does not keep versions.
        """
        del keep, older_than, dry_run
        raise self._without_versions(context)

    def resign(self, *, accept_unsigned: bool = False, dry_run: bool = True) -> dict[str, int]:
        """Sign everything stored with the key that signs now, after a key was replaced. The default raises.

        Args:
            accept_unsigned: Whether to also sign values without a signature.
            dry_run: Whether to change nothing.

        Returns:
            Numbers of values for the report.

        Raises:
            RiversError: This handler does not sign values.
        """
        del accept_unsigned, dry_run
        raise RiversError(
            f"{type(self).__name__} does not sign values. Use the pickle handler with `signing_keys`."
        )

    def verify(self, context: InputContext) -> Mapping[str, int]:
        """Read a stored value completely, and compare it with what the store recorded of it. The default loads it.

        Override it if the store has digests, sizes or counts that `load_input` does not compare, or to avoid building
        the value. A handler with `partition_batches` gets a context without partition for all of them.

        Args:
            context: Asset and partition.

        Returns:
            Numbers for the report, such as files and bytes; may be empty.

        Raises:
            NotMaterializedError: The value was never stored.
            IntegrityError: The value is damaged.
        """
        resolve_awaitable(self.load_input(context))
        return {}

    def check_options(self, metadata: Mapping[str, Any]) -> list[str]:
        """Check the options for this handler in the static metadata of an asset.

        Args:
            metadata: Metadata of the asset; keys that start with `option_namespace` and a slash are options.

        Returns:
            One sentence per finding.
        """
        del metadata
        return []

    def accepts_type(self, hint: Any) -> bool:
        """Return whether values of a type can be stored; called before anything runs.

        Args:
            hint: Return annotation of the function.

        Returns:
            True also if it depends on the value.
        """
        del hint
        return True

    def can_load_type(self, hint: Any) -> bool:
        """Return whether `load_input` can return values of a type; called before anything runs.

        Args:
            hint: Annotation of the parameter that receives the value.

        Returns:
            True also if it depends on the stored value.
        """
        del hint
        return True

    def storage_location(self, asset_name: str, asset_metadata: Mapping[str, Any] | None) -> str | None:
        """Return the location of all partitions of an asset, to find collisions before anything runs.

        The default None suits handlers that build addresses from the storage key only: those never collide.

        Args:
            asset_name: Name of the asset.
            asset_metadata: Its static metadata.

        Returns:
            An address that must neither equal that of another asset nor lie inside it (`outer/inner`), without
            credentials.
        """
        del asset_name, asset_metadata
        return None

    def store_root(self) -> StoreRoot | None:
        """Return the root below which all values lie, so that two handlers of one store can be recognized.

        Returns:
            The root, see `rivers_core.authoring.locate_store`; None if the handler does not know one.
        """
        return None

    def describe_address(self, context: OutputContext | InputContext) -> str | None:
        """Return the address of a value for messages, without credentials.

        Args:
            context: Asset and partition.

        Returns:
            A URL, a path, or None.
        """
        del context
        return None

    def storing_handler(self) -> BaseIOHandler:
        """Return the handler that writes to the store: this one, unless it is a wrapper around another.

        Returns:
            The handler that decides whether a value outlives its process, can be deleted, or collides with another.
        """
        return self

    def configuration(self) -> tuple[type[BaseIOHandler], dict[str, Any]]:
        """Return what is needed to rebuild this handler in another process.

        Returns:
            The class and its field values, secrets included; without private attributes and clients.
        """
        values = {name: self.__dict__[name] for name in type(self).model_fields if name in self.__dict__}
        return type(self), values | (self.model_extra or {})

    @classmethod
    def durable_settings(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings that make a write durable before it returns. The default returns none.

        Called when a handler is built from a configuration with `durable = true`.

        Args:
            values: The settings of the handler, not validated.

        Returns:
            Settings below the given ones; none if writes are durable anyway, as in an object store.
        """
        del values
        return {}

    @classmethod
    def settings_from_variables(
        cls, values: Mapping[str, Any], variables: Mapping[str, str]
    ) -> dict[str, dict[str, str]]:
        """Return options that variables for the library of the store supply. The default returns none.

        Called when a handler is built from a configuration: the library reads the environment itself, but not the
        `.env` next to the configuration. `rivers_objects.store_options.store_variables` selects them.

        Args:
            values: The settings of the handler, not validated.
            variables: The variables of the `.env` that the environment does not set.

        Returns:
            Field to options, under the names of the variables. They are merged below the settings of the handler.
        """
        del values, variables
        return {}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources of settings by precedence; see pydantic-settings.

        Args:
            settings_cls: The handler class.
            init_settings: Arguments.
            env_settings: Environment variables.
            dotenv_settings: The `.env` file.
            file_secret_settings: A folder of secret files.

        Returns:
            All of them in this order; only arguments for handlers built from config or rebuilt in a worker.
        """
        if reads_arguments_only(settings_cls):
            return (init_settings,)
        return init_settings, env_settings, dotenv_settings, file_secret_settings

    def _without_versions(self, context: InputContext) -> RiversError:
        return RiversError(
            f"Asset {context.asset_name!r} has no earlier versions: {type(self).__name__} does not keep them. Use a "
            "handler with versions, such as pickle with `keep_versions`."
        )

    @model_validator(mode="before")
    @classmethod
    def _only_known_settings(cls, values: Any) -> Any:
        if isinstance(values, dict) and cls.model_config.get("extra") == "forbid":
            reject_unknown(cls.__name__, values, cls.model_fields)
        return values

    def __reduce__(self) -> tuple[Callable[..., BaseIOHandler], tuple[Any, ...]]:
        return build_handler, self.configuration()

    def __copy__(self) -> Self:
        return build_handler(type(self), self.configuration()[1])

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return build_handler(type(self), deepcopy(self.configuration()[1], memo))

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if (
            not isinstance(other, BaseIOHandler)
            or type(self) is not type(other)
            or self.locality == "process"
        ):
            return NotImplemented
        return self.configuration() == other.configuration()

    def __hash__(self) -> int:
        return hash(type(self))

    def __str__(self) -> str:
        return repr(self)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, redacted_field(value, name or "")

    if not TYPE_CHECKING:

        def __init__(self, *positional: Any, **settings: Any) -> None:
            # pydantic-settings 2 would take the first one for `_case_sensitive`
            if positional:
                settings = name_positional(type(self), positional, settings)
            try:
                super().__init__(**settings)
            except ValidationError as error:
                if not reads_arguments_only(type(self)):
                    add_variable_notes(error, type(self), settings)
                raise

        def __setattr__(self, name: str, value: Any) -> None:
            if not hasattr(self, "__pydantic_fields_set__"):
                raise TypeError(
                    f"Could not set {name!r}: {type(self).__name__}.__init__ did not call super().__init__() before. "
                    "Pass settings to super().__init__(), or declare them as fields and remove __init__."
                )
            # the error of pydantic 2 would show the value, which may be a credential
            is_setting = not name.startswith("_") and not hasattr(type(self), name)
            if is_setting and type(self).model_config.get("frozen"):
                detail = InitErrorDetails(type="frozen_instance", loc=(name,), input=None)
                raise ValidationError.from_exception_data(type(self).__name__, [detail], hide_input=True)
            super().__setattr__(name, value)
