"""IO handler that pickles values to an object store."""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, NoReturn

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from rivers_core import InputContext, StoredVersion
from rivers_core.exceptions import ConfigurationError
from rivers_objects import Condition, Folder, History, ObjectIOHandler
from rivers_objects.layout import versions_folder
from rivers_pickle import errors
from rivers_pickle.format import (
    FormatError,
    Header,
    derive_key,
    encode_footer,
    header_for,
    is_rivers_object,
    is_signed_object,
    object_name,
    parse_object_name,
    verify,
    verify_file,
    version_in_tail,
    version_of,
)
from rivers_pickle.stream import TargetError, Written, write_pickle
from rivers_pickle.unpickling import ForbiddenGlobalError, parse_allowed, unpickle, unpickle_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import timedelta
    from io import FileIO
    from typing import Self

    from rivers_core import OutputContext
    from rivers_objects import Target


_LOG: Final = logging.getLogger("rivers.handlers")
_LARGE: Final = 1024 * 1024  # the copy of a smaller object costs less than reading its file twice
_SHORTEST_VERSION: Final = 8
_SHORTEST_KEY: Final = 16
_MARKER: Final = ".rivers-signed"
_MARKER_TEXT: Final = (
    b"Pickle objects in this folder are signed. rivers refuses to write here without a signing key.\n"
)


def _long_enough(key: SecretStr) -> SecretStr:
    length = len(key.get_secret_value())
    if length < _SHORTEST_KEY:
        raise ValueError(f"must have at least {_SHORTEST_KEY} characters, got {length}")
    return key


SigningKey = Annotated[SecretStr, AfterValidator(_long_enough)]
"""A key that cannot be guessed."""
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
        signing_key: Key that signs objects; then no unsigned, foreign or changed object is ever unpickled. At least
            16 characters.
        signing_keys: Instead of `signing_key`: the first one signs, and all verify, so that a key can be replaced.
        allow: The classes and functions that a value may refer to, as pairs of module and name or text
            `module:name`; None for any. A second layer behind a signature.
        keep_versions: How many earlier versions of each value stay loadable, besides the current one.
        conflict: `error` replaces a value only if it is still the one that was stored when the step began; otherwise
            the step fails with `ConflictError`, which its retry policy may repeat. Each write reads the stored object
            before the step, and keeps the new one in memory in a bucket. `overwrite` does so only for a step that
            continues its own value.
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
    has_versions: ClassVar[Any] = True

    signing_key: SigningKey | None = Field(
        default=None,
        description="Key that signs objects; then only objects signed with it are loaded.",
    )
    signing_keys: tuple[SigningKey, ...] = Field(
        default=(), description="Several keys: the first signs, all verify."
    )
    allow: Annotated[tuple[tuple[str, str], ...] | None, BeforeValidator(parse_allowed)] = Field(
        default=None, description="Classes and functions that a value may refer to, as `module:name`."
    )
    keep_versions: int = Field(
        default=0, ge=0, description="How many earlier versions of each value stay loadable."
    )
    conflict: Literal["overwrite", "error"] = Field(
        default="overwrite", description="Whether a value is replaced that was stored while the step ran."
    )

    if TYPE_CHECKING:

        def __init__(
            self,
            store: Any = ...,
            prefix: str = "",
            signing_key: SecretStr | str | None = None,
            *,
            fsync: bool = False,
            storage_options: Mapping[str, SecretStr | str | int | float] | None = None,
            signing_keys: Iterable[SecretStr | str] = (),
            keep_versions: int = 0,
            conflict: Literal["overwrite", "error"] = "overwrite",
            allow: Iterable[tuple[str, str] | str] | None = None,
        ) -> None: ...

    @model_validator(mode="after")
    def _has_one_setting_for_keys(self) -> Self:
        if self.signing_key is not None and self.signing_keys:
            raise ValueError(
                "`signing_key` and `signing_keys` exclude each other. Move the key into the list."
            )
        return self

    @property
    def always_conditional(self) -> bool:
        """True with `conflict="error"`."""
        return self.conflict == "error"

    @property
    def is_signed(self) -> bool:
        """True with a signing key."""
        return bool(self._secrets())

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
        self._describe(context, path, written.size, write_duration_s=time.perf_counter() - started)
        context.offer_content_version(written.digest.hex())
        if written.main_global is not None and self.locality != "process":
            _warn_of_main(context, written.main_global)

    def load_input(self, context: InputContext) -> Any:
        """Read an object, verify it, and unpickle it.

        Args:
            context: Context of the asset.

        Raises:
            NotMaterializedError: The object does not exist.
            VersionNotFoundError: `context.version` is set, and no such version is stored.
            IntegrityError: The object is damaged, misplaced, or not signed as required. Nothing of it ran.
            RiversError: The store failed, or a type of the value cannot be imported here.
        """
        path = self.object_path(context)
        if (file := self._open_large(context, path)) is not None:
            with file:
                state = _state_of(file)
                if (large := self._checked_file(context, path, file)) is not None:
                    try:
                        return self._load(
                            context, path, large, large.data_version, lambda: unpickle_file(file, self.allow)
                        )
                    finally:
                        if _state_of(file) != state:
                            raise errors.changed_meanwhile(context, self.object_address(path))
        path, data, stream, header = self._read(context)
        return self._load(
            context, path, header, version_of(data, header), lambda: unpickle(stream, self.allow)
        )

    def _load(
        self,
        context: InputContext,
        path: str,
        header: Header | None,
        version: str,
        unpickled: Callable[[], Any],
    ) -> Any:
        """Report the version of a verified object, and unpickle it."""
        context.register_loaded_version(
            version, stored_at=None if header is None else datetime.fromisoformat(header.created)
        )
        try:
            return unpickled()
        except MemoryError:
            raise
        except ForbiddenGlobalError as error:
            raise errors.forbidden(context, self.object_address(path), error) from None
        except Exception as error:
            raise errors.not_rebuilt(context, self.object_address(path), header, error) from error

    def versions(self, context: InputContext) -> list[StoredVersion]:
        """Return the current version and the earlier ones that are kept, the latest first; no object is verified.

        Args:
            context: Context of the asset.
        """
        path = self.object_path(context)
        current = self._current(context, path)
        if current is None:
            return []
        return [
            _stored_version(*current, is_current=True),
            *(_stored_version(*entry) for entry in self._earlier(context, path, current)),
        ]

    def _current(self, context: InputContext, path: str) -> tuple[str, int] | None:
        """Return name and size of the current object; None if there is none."""
        try:
            tail, size = self.objects.tail(path)
            name = object_name(tail, size == len(tail)) or object_name(bytes(self.objects.read(path)), True)
        except FileNotFoundError:
            return None
        except Exception as error:
            self.fail("look for", context, path, error)
        assert name is not None
        return name, size

    def _earlier(
        self, context: InputContext, path: str, current: tuple[str, int] | None
    ) -> list[tuple[str, int]]:
        """Return name and size of each kept version except the current one, the latest first.

        The current object is also kept, in a bucket always, and in a folder if a process ended after it had kept the
        object and before it replaced it.
        """
        kept = self._kept(context, path)
        return [entry for entry in kept if current is None or entry[0] != current[0]]

    def restore(self, context: OutputContext, version: str) -> str | None:
        """Write an earlier version again, as a new object with the same pickle stream; nothing is unpickled.

        Args:
            context: Context of the asset; receives metadata and data version as in `handle_output`.
            version: The version, or at least eight digits from its start.

        Returns:
            The version.

        Raises:
            VersionNotFoundError: The version is not stored.
            IntegrityError: Its object is damaged, misplaced, or not signed as required.
            ConflictError: Another version than `context.expected_version` is stored.
        """
        source = InputContext(
            context.asset_name, "restore", context.asset_metadata, context.partition, version=version
        )
        _, _, stream, header = self._read(source)
        if header is None:
            return super().restore(context, version)
        path = self.object_path(context)
        digest = bytes.fromhex(header.data_version)
        footer = encode_footer(
            header._replace(created=datetime.now(UTC).isoformat(timespec="microseconds"), write_id=None),
            stream_length=len(stream),
            stream_digest=digest,
            key=self._signing_key(),
        )
        try:
            with self._target(context, path).open() as writer:
                writer.write(stream)
                writer.write(footer)
        except ConfigurationError:
            raise
        except Exception as error:
            self.fail("store", context, path, error.__cause__ or error)
        self._describe(context, path, len(stream) + len(footer))
        context.offer_content_version(header.data_version)
        return header.data_version

    def prune(
        self,
        context: InputContext,
        *,
        keep: int | None = None,
        older_than: timedelta | None = None,
        dry_run: bool = True,
    ) -> list[StoredVersion]:
        """Remove earlier versions; by default only report them. The current value stays.

        Args:
            context: Context of the asset.
            keep: Number of earlier versions that stay; None for any.
            older_than: Age that a version must exceed; None for any.
            dry_run: Whether to change nothing.
        """
        path = self.object_path(context)
        latest = None if older_than is None else datetime.now(UTC) - older_than
        removed = []
        for name, size in self._earlier(context, path, self._current(context, path))[keep or 0 :]:
            version = _stored_version(name, size)
            if latest is None or version.stored_at is None or version.stored_at < latest:
                removed.append(version)
                if not dry_run:
                    self._remove_kept(context, path, name)
        return removed

    def delete(self, context: InputContext) -> None:
        """Remove the object and its earlier versions, if they exist."""
        super().delete(context)
        path = self.object_path(context)
        for name, _ in self._kept(context, path):
            self._remove_kept(context, path, name)

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

    def resign(self, *, accept_unsigned: bool = False, dry_run: bool = True) -> dict[str, int]:
        """Sign all objects below the prefix with the first key; by default only count them. Nothing is unpickled.

        An object that no key of the handler signed is refused, never signed: it may be anybody's.

        Args:
            accept_unsigned: Whether to sign objects without a signature, when a store becomes a signed one.
            dry_run: Whether to change nothing.

        Returns:
            Numbers of objects: `current` (signed with the first key), `resigned`, `refused`.

        Raises:
            ConfigurationError: The handler has no signing key.
        """
        key = self._signing_key()
        if key is None:
            raise ConfigurationError(
                f"{type(self).__name__} has no signing key to sign with. Set `signing_keys`."
            )
        counts = {"current": 0, "resigned": 0, "refused": 0}
        try:
            for path in self.objects.all_paths(self.prefix):
                if path.endswith(self.suffix):
                    counts[self._resign(path, key, accept_unsigned=accept_unsigned, dry_run=dry_run)] += 1
            if not dry_run:
                self._guard_signatures()
        except Exception as error:
            self._fail_resign(error)
        return counts

    def _resign(self, path: str, key: bytes, *, accept_unsigned: bool, dry_run: bool) -> str:
        data = self.objects.read(path)
        try:
            if is_signed_object(data) or not accept_unsigned:
                stream, header = verify(data, self._keys())
            else:
                stream, header = verify(data, ())
        except FormatError as error:
            _LOG.warning("Did not sign %s: the object %s", self.object_address(path), error)
            return "refused"
        footer = encode_footer(
            header, stream_length=len(stream), stream_digest=bytes.fromhex(header.data_version), key=key
        )
        if bytes(data[len(stream) :]) == footer:
            return "current"
        if not dry_run:
            with self.objects.target(path, Condition(header.data_version, version_in_tail)).open() as writer:
                writer.write(stream)
                writer.write(footer)
        return "resigned"

    def _fail_resign(self, error: Exception) -> NoReturn:
        context = InputContext("any", "resign")
        self.fail("sign", context, self.prefix, error)

    def _read(self, context: InputContext) -> tuple[str, memoryview, memoryview, Header | None]:
        """Return path, bytes, verified stream and header of the object that a context requests."""
        path = self.object_path(context)
        wanted = context.version
        kept = None if wanted is None else self._kept_path(context, path, wanted)
        data = self.read_object(context, kept or path)
        stream, header = self._checked(context, kept or path, data)
        if wanted is not None and not _is_version(wanted, version_of(data, header)):
            if kept is None:
                versions = [version.version for version in self.versions(context)]
                raise errors.no_such_version(context, self.object_address(path), versions)
            problem = FormatError("is not the version in its name")
            raise errors.damaged(context, self.object_address(kept), problem)
        return kept or path, data, stream, header

    def _open_large(self, context: InputContext, path: str) -> FileIO | None:
        """Open the file of a large object, which is then not kept in memory beside its value; None for any other.

        With a signing key an object is read once: another program might change the file after it was verified.
        """
        objects = self.objects
        # Windows does not replace an open file
        if (
            context.version is not None
            or self.is_signed
            or not isinstance(objects, Folder)
            or os.name == "nt"
        ):
            return None
        name = objects.file(path)
        with suppress(OSError):  # reported by the ordinary read
            if os.stat(name).st_size >= _LARGE:
                return open(name, "rb", buffering=0)
        return None

    def _checked_file(self, context: InputContext, path: str, file: FileIO) -> Header | None:
        """Return the header of the verified object in a file; None if the whole object is needed to judge it."""
        try:
            header = verify_file(file)
            if header is not None:
                _check_place(header, context)
        except FormatError as error:
            raise errors.damaged(context, self.object_address(path), error) from None
        except OSError as error:
            self.fail("load", context, path, error)
        return header

    def _kept_path(self, context: InputContext, path: str, version: str) -> str | None:
        """Return the path of an earlier version; None if it is not among them."""
        for name, _ in self._kept(context, path):
            parsed = parse_object_name(name)
            if parsed is not None and _is_version(version, parsed[1]):
                return f"{versions_folder(self.prefix, path)}/{name}"
        return None

    def _kept(self, context: InputContext, path: str) -> list[tuple[str, int]]:
        """Return name and size of each earlier version, the latest first."""
        try:
            entries = self.objects.entries(versions_folder(self.prefix, path))
        except Exception as error:
            self.fail("look for", context, path, error)
        return sorted((entry for entry in entries if parse_object_name(entry[0])), reverse=True)

    def _remove_kept(self, context: InputContext, path: str, name: str) -> None:
        kept = f"{versions_folder(self.prefix, path)}/{name}"
        try:
            self.objects.delete(kept)
        except Exception as error:
            self.fail("delete", context, kept, error)

    def _describe(self, context: OutputContext, path: str, size: int, **more: float) -> None:
        context.add_output_metadata(
            {
                "path": path,
                "uri": self.object_address(path),
                "serializer": "pickle",
                "size_bytes": size,
                **more,
            }
        )

    def _write(self, context: OutputContext, path: str, obj: Any) -> Written:
        try:
            target = self._target(context, path)
            written = write_pickle(target, obj, self._footer_for(context, obj))
        except TargetError as error:
            self.fail("store", context, path, error.__cause__ or error)
        except (MemoryError, ConfigurationError):
            raise
        except Exception as error:
            raise errors.unpicklable(context, obj, error) from error
        return written

    def _footer_for(self, context: OutputContext, obj: Any) -> Callable[[int, bytes], bytes]:
        def footer_for(stream_length: int, stream_digest: bytes) -> bytes:
            header = header_for(context, obj, stream_digest)
            return encode_footer(
                header, stream_length=stream_length, stream_digest=stream_digest, key=self._signing_key()
            )

        return footer_for

    def _checked(
        self, context: InputContext, path: str, data: memoryview
    ) -> tuple[memoryview, Header | None]:
        """Return the verified stream; the header is None for an object that rivers did not write."""
        keys = self._keys()
        try:
            if not is_rivers_object(data):
                if not keys:
                    return data, None
                raise FormatError(
                    "has no footer, but this handler only loads objects signed with its `signing_key`"
                )
            stream, header = verify(data, keys)
            _check_place(header, context)
        except FormatError as error:
            raise errors.damaged(context, self.object_address(path), error) from None
        return stream, header

    def _target(self, context: OutputContext, path: str) -> Target:
        expected = context.expected_version
        condition = None if expected is None else Condition(expected, version_in_tail)
        history = None
        if self.keep_versions:
            history = History(versions_folder(self.prefix, path), self.keep_versions, object_name)
        try:
            self._guard_signatures()
            return self.objects.target(path, condition, history)
        except ConfigurationError:
            raise
        except Exception as error:
            raise TargetError from error

    def _guard_signatures(self) -> None:
        """Mark a store as signed; without a key refuse to write to one. The store is asked once."""
        if self.prefix in self._guarded:
            return
        parts = self.prefix.split("/") if self.prefix else []
        if self.is_signed:
            marker = "/".join([*parts, _MARKER])
            if not self.objects.exists(marker):
                self.objects.target(marker).put(_MARKER_TEXT)
        else:
            # a prefix may be inside a signed one
            for depth in range(len(parts) + 1):
                marker = "/".join([*parts[:depth], _MARKER])
                if self._has_marker(marker):
                    raise ConfigurationError(
                        f"{type(self).__name__} has no signing key, but {self.object_address(marker)!r} marks the "
                        "objects there as signed. Handlers with the key could not load unsigned ones. Nothing was "
                        "stored. Set `signing_key`, or remove this object if the store is no longer signed."
                    )
        self._guarded.add(self.prefix)

    # not a private attribute: pydantic (2.x) needs 3 microseconds for each access to one
    @cached_property
    def _guarded(self) -> set[str]:
        """Prefixes whose signatures were checked: that of this handler, or none yet."""
        return set()

    def _has_marker(self, path: str) -> bool:
        try:
            return self.objects.exists(path)
        except Exception as error:
            from obstore.exceptions import PermissionDeniedError

            # so answers S3 for an absent object to those who may not list
            if isinstance(error, (PermissionError, PermissionDeniedError)):
                return False
            raise

    def _secrets(self) -> tuple[SecretStr, ...]:
        return self.signing_keys if self.signing_key is None else (self.signing_key,)

    def _keys(self) -> tuple[bytes, ...]:
        return tuple(derive_key(secret.get_secret_value()) for secret in self._secrets())

    def _signing_key(self) -> bytes | None:
        return next(iter(self._keys()), None)


def _check_place(header: Header, context: InputContext) -> None:
    if header.key != context.storage_key:
        raise FormatError(f"was stored as {header.key!r} and does not belong here")


def _state_of(file: FileIO) -> tuple[int, int]:
    """Return size and time of the last change; the file may be renamed or removed meanwhile, not changed."""
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def _stored_version(name: str, size: int, *, is_current: bool = False) -> StoredVersion:
    parsed = parse_object_name(name)
    assert parsed is not None
    return StoredVersion(parsed[1], parsed[0], size, is_current)


def _is_version(requested: str, version: str) -> bool:
    """Return whether a version is the requested one, of which the first digits are enough."""
    return version == requested or (len(requested) >= _SHORTEST_VERSION and version.startswith(requested))
