"""The contract of an IO handler."""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import deepcopy
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import ValidationError, model_validator
from pydantic_core import InitErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from rivers_core.awaitables import is_async_method, resolve_awaitable
from rivers_core.exceptions import NotMaterializedError, RiversError
from rivers_core.handler.settings import (
    build_handler,
    note_variables,
    reads_nothing_else,
    refuse_unknown,
    with_names,
)
from rivers_core.redaction import redacted_field

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping
    from typing import Self

    from rivers_core._locations import StoreRoot
    from rivers_core.contexts import InputContext, OutputContext

Locality = Literal["process", "host", "shared"]
"""Who else can read what a handler stored: this process, all processes of this host, or all hosts."""


class BaseIOHandler(BaseSettings, ABC):
    """Stores what a function returned and loads it for whoever comes next.

    An author writes `handle_output` and `load_input`, plain or `async`; everything else has a default. Fields
    are settings: given as arguments, by environment variables, or in a `.env` file of the working folder. An
    instance is made once per process and travels to other processes as class and field values: connections
    belong into private attributes or cached properties, made when they are first needed.

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

    locality: ClassVar[Any] = "shared"
    """`Locality`: readers of what this handler stored, the same process, the same host or everybody."""

    partition_batches: ClassVar[Any] = False
    """`bool`: one call may carry several partition keys. Otherwise the engine calls once per key."""

    can_delete: ClassVar[Any] = property(lambda self: type(self).delete is not BaseIOHandler.delete)
    """`bool`: `delete` is supported. By default true for a class that overrides `delete`."""

    is_async_output: ClassVar[Any] = property(lambda self: is_async_method(type(self).handle_output))
    """`bool`: `handle_output` returns an awaitable. By default true if it is declared `async`."""

    is_async_input: ClassVar[Any] = property(lambda self: is_async_method(type(self).load_input))
    """`bool`: `load_input` returns an awaitable. By default true if it is declared `async`."""

    option_namespace: ClassVar[str | None] = None
    """What stands before the slash in metadata keys that are this handler's options (`delta/mode`)."""

    location_fields: ClassVar[tuple[str, ...]] = ()
    """Text fields that hold a path or URL; in a config file a relative one is relative to that file.

    A field annotated `Path` is a location without being named here.
    """

    positional_fields: ClassVar[tuple[str, ...]] = ()
    """Fields that may also be given by position, in this order; without it every setting has to be named."""

    @abstractmethod
    def handle_output(self, context: OutputContext, obj: Any) -> Awaitable[None] | None:
        """Store a value. It has to be stored when this returns; otherwise raise.

        Args:
            context: Which asset, which partition; `context.storage_key` is what to build an address from.
            obj: The bare value that the function returned.
        """

    @abstractmethod
    def load_input(self, context: InputContext) -> Any:
        """Load a stored value.

        Args:
            context: Which asset is loaded, for which downstream, of which type.

        Returns:
            The value, of `context.type_hint` if the handler can give that type.

        Raises:
            NotMaterializedError: Nothing was ever stored there; any other error means that something broke.
        """

    def exists(self, context: InputContext) -> bool:
        """Whether a value is stored. The default loads it; override it where asking is cheaper.

        Args:
            context: Which asset and partition.

        Returns:
            False if nothing was ever stored; errors other than absence are raised.
        """
        try:
            resolve_awaitable(self.load_input(context))
        except (NotMaterializedError, FileNotFoundError):
            return False
        return True

    def delete(self, context: InputContext) -> None:
        """Remove a stored value. The default refuses.

        Args:
            context: Which asset and partition.

        Raises:
            RiversError: This handler cannot delete.
        """
        raise RiversError(
            f"{type(self).__name__} cannot delete: the value of asset {context.asset_name!r} stays. "
            "Remove it in the store itself, or give the handler a `delete(context)` method."
        )

    def check_options(self, metadata: Mapping[str, Any]) -> list[str]:
        """Look at the options for this handler in an asset's static metadata.

        Args:
            metadata: The asset's metadata; keys that start with `option_namespace` and a slash are options.

        Returns:
            One sentence per mistake; empty if all is well.
        """
        del metadata
        return []

    def accepts_type(self, hint: Any) -> bool:
        """Whether a value of this annotation can be stored; asked before anything runs.

        Args:
            hint: The return annotation of the function that makes the value.

        Returns:
            True if it can, or if only the value itself will tell.
        """
        del hint
        return True

    def can_load_type(self, hint: Any) -> bool:
        """Whether `load_input` can give a value of this annotation; asked before anything runs.

        Args:
            hint: The annotation of the parameter that receives the value.

        Returns:
            True if it can, or if only the stored value will tell.
        """
        del hint
        return True

    def storage_location(self, asset_name: str, asset_metadata: Mapping[str, Any] | None) -> str | None:
        """Where all partitions of an asset lie, as far as its metadata can move it; compared before anything runs.

        The default None suits handlers that build addresses from the storage key alone: those never collide.

        Args:
            asset_name: The asset.
            asset_metadata: Its static metadata.

        Returns:
            An address that two assets may not share, and that none may lie inside of (`outer/inner`); without
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
        """Where the value of this context lives, for messages. Never shows a credential.

        Args:
            context: Which asset and partition.

        Returns:
            A URL, a path, or None if there is nothing worth showing.
        """
        del context
        return None

    def storing_handler(self) -> BaseIOHandler:
        """The handler in whose store a value ends up: this one, unless it hands values on to another.

        Returns:
            What a handler around others writes through. Whether a value outlives its process, can be deleted, or
            lies where another asset's does, is asked of this one.
        """
        return self

    def configuration(self) -> tuple[type[BaseIOHandler], dict[str, Any]]:
        """What is needed to build this handler again elsewhere.

        Returns:
            The class and its field values, secrets included; no private attributes, no clients.
        """
        values = {name: self.__dict__[name] for name in type(self).model_fields if name in self.__dict__}
        return type(self), values | (self.model_extra or {})

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Which sources are read, the first one wins; see pydantic-settings.

        Args:
            settings_cls: The handler class being built.
            init_settings: Arguments.
            env_settings: Environment variables.
            dotenv_settings: The `.env` file.
            file_secret_settings: A folder of secret files.

        Returns:
            All of them in this order; arguments alone for handlers made from config or rebuilt in a worker.
        """
        if reads_nothing_else(settings_cls):
            return (init_settings,)
        return init_settings, env_settings, dotenv_settings, file_secret_settings

    @model_validator(mode="before")
    @classmethod
    def _only_known_settings(cls, values: Any) -> Any:
        if isinstance(values, dict) and cls.model_config.get("extra") == "forbid":
            refuse_unknown(cls.__name__, values, cls.model_fields)
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
        if type(self) is not type(other) or self.locality == "process":
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

        def __init__(self, *unnamed: Any, **settings: Any) -> None:
            # pydantic-settings would take the first for `_case_sensitive` and build a handler without it
            if unnamed:
                settings = with_names(type(self), unnamed, settings)
            try:
                super().__init__(**settings)
            except ValidationError as error:
                if not reads_nothing_else(type(self)):
                    note_variables(error, type(self), settings)
                raise

        def __setattr__(self, name: str, value: Any) -> None:
            # pydantic's own error would print the value, which may be a credential
            is_setting = not name.startswith("_") and not hasattr(type(self), name)
            if is_setting and type(self).model_config.get("frozen"):
                detail = InitErrorDetails(type="frozen_instance", loc=(name,), input=None)
                raise ValidationError.from_exception_data(type(self).__name__, [detail], hide_input=True)
            super().__setattr__(name, value)
